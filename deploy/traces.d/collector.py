"""A collector of traces: prints its port, then writes each span that comes as a line of JSON. Decoded by OpenTelemetry's
own definitions, not by Writ's. Usage: collector.py FILE [PORT]"""

import json
import sys
from concurrent import futures

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc


def plain(value):
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(one) for one in value.array_value.values]
    return getattr(value, kind)


def attributes(pairs):
    return {pair.key: plain(pair.value) for pair in pairs}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    def __init__(self, file):
        self.file = file

    def Export(self, request, context):
        lines = []
        for of_resource in request.resource_spans:
            resource = attributes(of_resource.resource.attributes)
            for of_scope in of_resource.scope_spans:
                for span in of_scope.spans:
                    lines.append(json.dumps({
                        "name": span.name, "kind": span.kind, "trace": span.trace_id.hex(), "id": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(), "from": span.start_time_unix_nano,
                        "to": span.end_time_unix_nano, "status": span.status.code, "resource": resource,
                        "attributes": attributes(span.attributes), "all": str(span),
                    }) + "\n")
        self.file.write("".join(lines))
        self.file.flush()
        return trace_service_pb2.ExportTraceServiceResponse()


def main():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    with open(sys.argv[1], "a", encoding="utf-8") as file:
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(Collector(file), server)
        print(server.add_insecure_port(f"127.0.0.1:{sys.argv[2] if len(sys.argv) > 2 else 0}"), flush=True)
        server.start()
        server.wait_for_termination()


if __name__ == "__main__":
    main()

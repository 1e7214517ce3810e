"""Makes policy files the set in force, under the names that they have below a directory.

`writ policy apply` gives a file the last part of its name, and so cannot replace a file of the default pack, which is called
`pack/guardrails.cedar`. Arguments: the directory of proto/, the directory of the files; the rest as for `writ`.
"""

import os
import sys
import tempfile
from urllib.parse import urlsplit

import grpc
from grpc_tools import protoc

PROTO, FILES = sys.argv[1:3]

with tempfile.TemporaryDirectory() as made:
    protoc.main(["", f"-I{PROTO}", f"--python_out={made}", f"--grpc_python_out={made}",
                 *(os.path.join(PROTO, "writ/v1", f"{name}.proto") for name in ["admin", "config", "edge", "lake"])])
    sys.path.insert(0, made)
    from writ.v1 import admin_pb2, admin_pb2_grpc, config_pb2

files = []
for directory, _, names in os.walk(FILES):
    for name in sorted(n for n in names if n.endswith(".cedar")):
        path = os.path.join(directory, name)
        with open(path, encoding="utf-8") as file:
            files.append(config_pb2.PolicyFile(name=os.path.relpath(path, FILES), text=file.read()))
with open(os.environ["WRIT_CA"], "rb") as file:
    channel = grpc.secure_channel(urlsplit(os.environ["WRIT_CONTROL_PLANE"]).netloc, grpc.ssl_channel_credentials(file.read()))
policies = config_pb2.PolicySet(files=files)
command = admin_pb2.Command(apply_policies=admin_pb2.ApplyPolicies(policies=policies))
print(admin_pb2_grpc.AdminServiceStub(channel).Submit(command, metadata=[("authorization", f"Bearer {os.environ['WRIT_TOKEN']}")]))

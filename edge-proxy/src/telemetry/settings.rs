//! Whether and where spans are sent: the edge's options, and the variables that OpenTelemetry has for every program.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};
use writ_edge_core::trace_context::TraceContext;
use writ_model::Secret;

/// How long one export may take where nothing else is said.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an export may take at most.
const EXPORT_TIMEOUT_MAX: Duration = Duration::from_secs(60);
/// How long finished spans wait for others where nothing else is said.
const EXPORT_DELAY: Duration = Duration::from_secs(5);
/// How long they may wait at most.
const EXPORT_DELAY_MAX: Duration = Duration::from_secs(60);
/// How long connecting to the collector may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Where systems keep the authorities that they trust.
const SYSTEM_ROOTS: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];
/// The service's name where nobody gives it another.
const SERVICE_NAME: &str = "writ-edge";

/// How spans are made and sent.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `http://host:port` or `https://host:port` of the collector.
    pub endpoint: String,
    /// The authorities that its certificate may be of, PEM; `None`: those that the system trusts.
    pub ca_file: Option<PathBuf>,
    /// Sent with each export.
    pub headers: Vec<(String, Secret<String>)>,
    /// How long one export may take.
    pub timeout: Duration,
    /// How long finished spans wait for others to be sent with.
    pub delay: Duration,
    /// Which traces are kept.
    pub sampler: Sampler,
    /// What is said of this process; wins over what it says of itself.
    pub resource: Vec<(String, String)>,
    /// Whether spans say who acted and from which address.
    pub people: bool,
}

impl Settings {
    /// Everything sampled, to `endpoint`.
    #[must_use]
    pub fn new(endpoint: String) -> Self {
        Self {
            endpoint,
            ca_file: None,
            headers: Vec::new(),
            timeout: EXPORT_TIMEOUT,
            delay: EXPORT_DELAY,
            sampler: Sampler { root: Root::Always, parent_based: true },
            resource: Vec::new(),
            people: true,
        }
    }

    /// What the edge's options and the process's variables say. `None`: no spans are made. An error says which is not
    /// understood.
    pub fn read(
        endpoint: Option<String>,
        people: bool,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, String> {
        let said = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let of_traces = |what: &str| {
            let own = said(&format!("OTEL_EXPORTER_OTLP_TRACES_{what}"));
            own.or_else(|| said(&format!("OTEL_EXPORTER_OTLP_{what}")))
        };
        let Some(endpoint) = endpoint.or_else(|| of_traces("ENDPOINT")) else { return Ok(None) };
        if said("OTEL_SDK_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        match said("OTEL_TRACES_EXPORTER").as_deref() {
            Some("none") => return Ok(None),
            None | Some("otlp") => {}
            Some(other) => return Err(wrong("OTEL_TRACES_EXPORTER", other, "otlp or none")),
        }
        if let Some(other) = of_traces("PROTOCOL").filter(|protocol| protocol != "grpc") {
            let next = "grpc, and the collector's port for it, which is often 4317";
            return Err(wrong("OTEL_EXPORTER_OTLP_PROTOCOL", &other, next));
        }
        let mut resource = match said("OTEL_RESOURCE_ATTRIBUTES") {
            Some(list) => pairs("OTEL_RESOURCE_ATTRIBUTES", &list)?,
            None => Vec::new(),
        };
        if let Some(name) = said("OTEL_SERVICE_NAME") {
            resource.retain(|(key, _)| key != "service.name");
            resource.push(("service.name".to_owned(), name));
        }
        let headers = match of_traces("HEADERS") {
            Some(list) => pairs("OTEL_EXPORTER_OTLP_HEADERS", &list)?,
            None => Vec::new(),
        };
        let settings = Self {
            ca_file: of_traces("CERTIFICATE").map(PathBuf::from),
            headers: headers.into_iter().map(|(key, value)| (key, Secret::new(value))).collect(),
            timeout: milliseconds("OTEL_EXPORTER_OTLP_TIMEOUT", of_traces("TIMEOUT"))?
                .map_or(EXPORT_TIMEOUT, |some| some.min(EXPORT_TIMEOUT_MAX)),
            delay: milliseconds("OTEL_BSP_SCHEDULE_DELAY", said("OTEL_BSP_SCHEDULE_DELAY"))?
                .map_or(EXPORT_DELAY, |some| some.min(EXPORT_DELAY_MAX)),
            sampler: Sampler::read(said("OTEL_TRACES_SAMPLER"), said("OTEL_TRACES_SAMPLER_ARG"))?,
            resource,
            people,
            ..Self::new(endpoint)
        };
        settings.connection()?;
        settings.metadata()?;
        Ok(Some(settings))
    }

    /// How the collector is reached; connects to nothing yet.
    pub(super) fn connection(&self) -> Result<Endpoint, String> {
        let url = self.endpoint.as_str();
        let next = "http://host:port, or https://host:port";
        let encrypted = match url.split_once("://") {
            Some(("http", _)) => false,
            Some(("https", _)) => true,
            _ => return Err(wrong("otlp_endpoint", url, next)),
        };
        let endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|_| wrong("otlp_endpoint", url, next))?
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(self.timeout);
        if !encrypted {
            return Ok(endpoint);
        }
        let roots = Certificate::from_pem(self.roots()?);
        let tls = ClientTlsConfig::new().ca_certificate(roots);
        endpoint.tls_config(tls).map_err(|error| {
            format!("the certificates to check {url} with cannot be used: {error}")
        })
    }

    fn roots(&self) -> Result<Vec<u8>, String> {
        let system = || SYSTEM_ROOTS.iter().map(Path::new).find(|path| path.exists());
        let Some(path) = self.ca_file.as_deref().or_else(system) else {
            return Err(format!(
                "nothing says which certificates to check {} with: set OTEL_EXPORTER_OTLP_CERTIFICATE to a PEM file",
                self.endpoint
            ));
        };
        std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// The headers as gRPC has them.
    pub(super) fn metadata(&self) -> Result<Vec<(AsciiMetadataKey, AsciiMetadataValue)>, String> {
        let header = |(key, value): &(String, Secret<String>)| {
            let bad = || {
                format!("OTEL_EXPORTER_OTLP_HEADERS: {key:?} cannot be sent: write name=value,…")
            };
            let name = AsciiMetadataKey::from_bytes(key.to_ascii_lowercase().as_bytes());
            let value = value.expose().parse::<AsciiMetadataValue>();
            Ok((name.map_err(|_| bad())?, value.map_err(|_| bad())?))
        };
        self.headers.iter().map(header).collect()
    }

    /// What is said of the process that sends the spans.
    pub(super) fn resource(&self, edge: &str, environment: &str) -> Vec<(String, String)> {
        let own = [
            ("service.name", SERVICE_NAME),
            ("service.version", env!("CARGO_PKG_VERSION")),
            ("service.instance.id", edge),
            ("deployment.environment.name", environment),
        ];
        let given = |key: &str| self.resource.iter().any(|(name, _)| name == key);
        let own = own.into_iter().filter(|(key, _)| !given(key));
        let own = own.map(|(key, value)| (key.to_owned(), value.to_owned()));
        own.chain(self.resource.iter().cloned()).collect()
    }
}

/// Which traces are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Those that begin here.
    pub root: Root,
    /// Of a client's trace, what the client says: all of it is kept, or nothing.
    pub parent_based: bool,
}

/// Which of the traces that begin here are kept.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Root {
    /// All.
    Always,
    /// None.
    Never,
    /// This share, from 0 to 1; every program that samples by trace ids keeps the same ones.
    Share(f64),
}

impl Sampler {
    fn read(name: Option<String>, argument: Option<String>) -> Result<Self, String> {
        let name = name.unwrap_or_else(|| "parentbased_always_on".to_owned());
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name.as_str()),
        };
        let root = match root {
            "always_on" => Root::Always,
            "always_off" => Root::Never,
            "traceidratio" => {
                let text = argument.unwrap_or_else(|| "1".to_owned());
                let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
                let next = "a number from 0 to 1";
                Root::Share(share.ok_or_else(|| wrong("OTEL_TRACES_SAMPLER_ARG", &text, next))?)
            }
            _ => {
                let next = "always_on, always_off or traceidratio, each also after parentbased_";
                return Err(wrong("OTEL_TRACES_SAMPLER", &name, next));
            }
        };
        Ok(Self { root, parent_based })
    }

    /// Whether a trace is kept; `parent` is the client's span.
    pub(super) fn keeps(&self, trace: &[u8; 16], parent: Option<&TraceContext>) -> bool {
        if let Some(parent) = parent.filter(|_| self.parent_based) {
            return parent.sampled;
        }
        match self.root {
            Root::Always => true,
            Root::Never => false,
            Root::Share(share) => {
                let [.., a, b, c, d, e, f, g, h] = *trace;
                let place = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
                place < (share * (1_u64 << 63) as f64) as u64
            }
        }
    }
}

fn wrong(name: &str, value: &str, next: &str) -> String {
    format!("{name} is {value:?}: write {next}")
}

fn milliseconds(name: &str, text: Option<String>) -> Result<Option<Duration>, String> {
    let Some(text) = text else { return Ok(None) };
    let number = text.parse().map_err(|_| wrong(name, &text, "a number of milliseconds"))?;
    Ok(Some(Duration::from_millis(number)))
}

/// `name=value,…`, with what stands for itself nowhere else as `%XX`. Values may be secret: an error shows none.
fn pairs(variable: &str, list: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=')?;
        let name = name.trim();
        (!name.is_empty()).then_some((name.to_owned(), unescaped(value.trim())?))
    };
    let pairs = list.split(',').filter(|one| !one.trim().is_empty()).map(pair);
    let pairs: Option<Vec<_>> = pairs.collect();
    pairs.ok_or_else(|| format!("{variable} is not a list: write name=value,name=value"))
}

fn unescaped(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((plain, escaped)) = rest.split_once('%') {
        bytes.extend_from_slice(plain.as_bytes());
        let digits = escaped.get(..2).filter(|two| two.bytes().all(|b| b.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = escaped.get(2..)?;
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(option: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<Settings>, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Settings::read(option.map(str::to_owned), true, variable)
    }

    const AT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");

    #[test]
    fn without_an_endpoint_no_spans_are_made() {
        assert!(read(None, &[]).expect("fine").is_none());
        assert!(read(None, &[("OTEL_SERVICE_NAME", "x")]).expect("fine").is_none());
        assert!(read(None, &[AT, ("OTEL_SDK_DISABLED", "true")]).expect("fine").is_none());
        assert!(read(None, &[AT, ("OTEL_TRACES_EXPORTER", "none")]).expect("fine").is_none());
        assert!(read(None, &[AT]).expect("fine").is_some(), "control");
    }

    #[test]
    fn the_option_wins_over_the_variables_and_the_nearer_variable_over_the_other() {
        let endpoint = |found: Result<Option<Settings>, String>| {
            found.expect("understood").expect("on").endpoint
        };
        let nearer = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");
        assert_eq!(endpoint(read(None, &[AT])), AT.1);
        assert_eq!(endpoint(read(None, &[AT, nearer])), nearer.1);
        assert_eq!(endpoint(read(Some("http://own:1"), &[AT, nearer])), "http://own:1");
    }

    #[test]
    fn variables_are_understood() {
        let found = read(
            None,
            &[
                AT,
                ("OTEL_SERVICE_NAME", "edge-7"),
                ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other, team=data%20base"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "api-key=s%3Dcret,X-Tenant=a"),
                ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500"),
                ("OTEL_BSP_SCHEDULE_DELAY", "99999999"),
                ("OTEL_TRACES_SAMPLER", "traceidratio"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ],
        );
        let found = found.expect("understood").expect("on");
        let resource = found.resource("edge-1", "prod");
        for (key, value) in [
            ("service.name", "edge-7"),
            ("team", "data base"),
            ("service.instance.id", "edge-1"),
            ("deployment.environment.name", "prod"),
        ] {
            let given: Vec<_> = resource.iter().filter(|(name, _)| name == key).collect();
            assert_eq!(given, [&(key.to_owned(), value.to_owned())]);
        }
        let metadata = found.metadata().expect("headers");
        assert_eq!(metadata[0].0.as_str(), "api-key");
        assert_eq!(metadata[0].1.to_str().ok(), Some("s=cret"));
        assert_eq!(metadata[1].0.as_str(), "x-tenant");
        assert_eq!((found.timeout.as_millis(), found.delay), (1_500, EXPORT_DELAY_MAX));
        assert_eq!(found.sampler, Sampler { root: Root::Share(0.25), parent_based: false });
        assert!(!format!("{found:?}").contains("s=cret"), "headers are secret");
    }

    #[test]
    fn what_is_not_understood_is_an_error_that_says_what_to_write() {
        for (wrong, next) in [
            (("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), "grpc"),
            (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4317"), "http://host:port"),
            (("OTEL_TRACES_EXPORTER", "zipkin"), "otlp or none"),
            (("OTEL_TRACES_SAMPLER", "jaeger_remote"), "traceidratio"),
            (("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"), "milliseconds"),
            (("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"), "name=value"),
            (("OTEL_EXPORTER_OTLP_HEADERS", "a=%hunter2"), "name=value"),
            (("OTEL_EXPORTER_OTLP_HEADERS", "b c=hunter2"), "name=value"),
        ] {
            let problem = read(None, &[AT, wrong]).expect_err(wrong.0);
            assert!(problem.contains(next), "{problem}");
            assert!(!problem.contains("hunter2"), "{problem}");
        }
        let share = [AT, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "2")];
        assert!(read(None, &share).expect_err("too much").contains("from 0 to 1"));
        let ca = [("OTEL_EXPORTER_OTLP_CERTIFICATE", "/nowhere/ca.pem")];
        let problem = read(Some("https://collector:4317"), &ca).expect_err("no such file");
        assert!(problem.contains("/nowhere/ca.pem"), "{problem}");
    }

    #[test]
    fn a_share_of_the_traces_is_kept_and_a_clients_own_as_it_says() {
        let half = Sampler { root: Root::Share(0.5), parent_based: true };
        let trace = |last: u64| (0x1234_u128 << 64 | u128::from(last)).to_be_bytes();
        assert!(half.keeps(&trace(0x7fff_ffff_ffff_0000), None));
        assert!(!half.keeps(&trace(0x8000_0000_0000_0002), None));
        for sampled in [true, false] {
            let parent = TraceContext { trace: trace(1), span: [1; 8], sampled };
            assert_eq!(half.keeps(&trace(u64::MAX), Some(&parent)), sampled);
            let own = Sampler { parent_based: false, ..half };
            assert!(own.keeps(&trace(1), Some(&parent)), "the client has no say");
        }
        let all = Sampler { root: Root::Share(1.0), parent_based: true };
        assert!(all.keeps(&trace(u64::MAX), None));
        let none = Sampler { root: Root::Share(0.0), parent_based: true };
        assert!(!none.keeps(&trace(0), None));
    }
}

//! The command line.

use std::ffi::OsString;
use std::time::Duration;

use lexopt::prelude::*;
use sandbox::{
    EventKind, Fate, Faults, FunctionSpec, InFreeze, InitType, LambdaConfig, LogFormat, Overflow,
    SubscribeAnswer, TelemetryFault, Uplink, XRay,
};

pub(crate) const HELP: &str = "\
A local AWS Lambda: functions with real extensions, freezes, timeouts and shutdowns.

  sandbox run    [OPTION]... -- COMMAND [ARG]...     serve until Ctrl-C, print the timeline
  sandbox run    [OPTION]... --function K=V,...      the same with several functions
  sandbox invoke [OPTION]... -- COMMAND [ARG]...     invoke once, print the answer, shut down

Function (before --function: defaults of those that follow)
  --name NAME              function name                               [function]
  --extensions DIR         stands for /opt/extensions: every file in it is started
  --timeout SECONDS        function timeout                            [3]
  --memory MB              memory size                                 [128]
  --handler TEXT           _HANDLER                                    [bootstrap]
  --env KEY=VALUE          a variable of the function; repeat
  --port NAME              a free port for each environment, for {NAME} in values of variables; repeat
  --wrapper PATH           AWS_LAMBDA_EXEC_WRAPPER
  --working-dir DIR        LAMBDA_TASK_ROOT                            [the command's]
  --concurrency N          environments at the same time               [10]
  --provisioned N          start N environments at once
  --snapstart N            initialise N environments at once, and restore each for its first invocation
  --managed N              Managed Instances: an environment starts at once, takes N invocations at the same
                           time, is never frozen, and tells extensions of SHUTDOWN only
  --uplink VARIABLE        the processes reach the backend whose URL it holds through the sandbox
  --json-logs              AWS_LAMBDA_LOG_FORMAT=JSON
  --function K=V,...       one more function; keys name, command (split at spaces),
                           extensions, timeout, memory, handler, concurrency, working-dir,
                           env.NAME (a variable)
Service
  --listen ADDR:PORT       invoke endpoint                             [127.0.0.1:0]
  --init-timeout SECONDS   on-demand init limit                        [10]
  --idle-timeout SECONDS   shut idle environments down
  --throttle               answer 429 instead of queueing
  --seed N                 source of all ids                           [0]
  --verbose                show telemetry too
Faults
  --emulator               no Telemetry API, no freeze, SHUTDOWN for SandboxTerminated: as AWS's emulator,
                           which sam local runs
  --never-freeze           leave idle environments running
  --vm-freeze FATE         what arrives over the uplink while frozen, as in a stopped virtual machine: lost
                           (with its connection), or late:MS (after the thaw)
  --subscribe-answer CODE  202, 403, 404 or 500 instead of 200
  --telemetry-fault EVENT=FATE   drop, hold, hold:2, swap, delay:MS or duplicate:N; repeat
                           e.g. platform.runtimeDone=delay:500
  --shutdown-reason TEXT   sent in SHUTDOWN
Invocation (sandbox invoke)
  --payload JSON           the event                                   [{}]
  --count N                invoke N times, one after the other         [1]
  --at-once                all of them at the same time
  --xray FORM              passthrough, active, not-sampled, absent, or a header [passthrough]";

pub(crate) enum Action {
    Help,
    Run(Run),
    Invoke(Invoke),
}

/// A service and its functions; at least one.
pub(crate) struct Run {
    pub(crate) config: LambdaConfig,
    pub(crate) functions: Vec<FunctionSpec>,
    pub(crate) verbose: bool,
}

pub(crate) struct Invoke {
    pub(crate) run: Run,
    pub(crate) payload: String,
    pub(crate) count: u32,
    pub(crate) at_once: bool,
    pub(crate) xray: XRay,
}

/// Everything the options can set, while they are read.
struct Options {
    spec: FunctionSpec,
    invoke: Invoke,
}

pub(crate) fn parse(mut parser: lexopt::Parser) -> Result<Action, lexopt::Error> {
    let one_shot = match parser.next()? {
        Some(Value(word)) if word == "run" => false,
        Some(Value(word)) if word == "invoke" => true,
        None | Some(Long("help") | Short('h')) => return Ok(Action::Help),
        Some(other) => return Err(other.unexpected()),
    };
    let run = Run { config: LambdaConfig::default(), functions: vec![], verbose: false };
    let invoke = Invoke { run, payload: "{}".into(), count: 1, at_once: false, xray: XRay::default() };
    let mut options = Options { spec: FunctionSpec::default(), invoke };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok(Action::Help),
            Long(name) => {
                let name = name.to_owned();
                options.option(&name, &mut parser)?;
            }
            Value(program) => {
                options.spec.command = std::iter::once(program).chain(parser.raw_args()?).collect();
                options.invoke.run.functions.push(options.spec.clone());
            }
            other @ Short(_) => return Err(other.unexpected()),
        }
    }
    if options.invoke.run.functions.is_empty() {
        return Err("no function: give a command after --, or --function".into());
    }
    Ok(if one_shot { Action::Invoke(options.invoke) } else { Action::Run(options.invoke.run) })
}

impl Options {
    fn option(&mut self, name: &str, parser: &mut lexopt::Parser) -> Result<(), lexopt::Error> {
        let run = &mut self.invoke.run;
        match name {
            "listen" => run.config.listen = parser.value()?.parse()?,
            "init-timeout" => run.config.init_timeout = seconds(&parser.value()?)?,
            "idle-timeout" => run.config.idle_timeout = Some(seconds(&parser.value()?)?),
            "throttle" => run.config.overflow = Overflow::Throttle,
            "seed" => run.config.seed = parser.value()?.parse()?,
            "verbose" => run.verbose = true,
            "payload" => self.invoke.payload = parser.value()?.string()?,
            "count" => self.invoke.count = parser.value()?.parse()?,
            "at-once" => self.invoke.at_once = true,
            "xray" => self.invoke.xray = xray(parser.value()?.string()?),
            "function" => {
                let text = parser.value()?.string()?;
                let function = function(self.spec.clone(), &text)?;
                self.invoke.run.functions.push(function);
            }
            "uplink" => {
                let variable = parser.value()?.string()?;
                let in_freeze = self.spec.uplink.take().map_or(InFreeze::Buffered, |uplink| uplink.in_freeze);
                self.spec.uplink = Some(Uplink { variable, in_freeze });
            }
            "vm-freeze" => {
                let in_freeze = in_freeze(&parser.value()?.string()?)?;
                let uplink = self.spec.uplink.as_mut().ok_or("--vm-freeze needs --uplink before it")?;
                uplink.in_freeze = in_freeze;
            }
            "emulator" => self.spec.faults = Faults::emulator(),
            "never-freeze" => self.spec.faults.never_freeze = true,
            "subscribe-answer" => self.spec.faults.subscribe = subscribe_answer(&parser.value()?.string()?)?,
            "telemetry-fault" => {
                self.spec.faults.telemetry.push(telemetry_fault(&parser.value()?.string()?)?);
            }
            "shutdown-reason" => self.spec.faults.shutdown_reason = Some(parser.value()?.string()?),
            "port" => self.spec.ports.push(parser.value()?.string()?),
            "json-logs" => self.spec.log_format = LogFormat::Json,
            "env" => {
                let text = parser.value()?.string()?;
                self.spec.env.push(pair(&text)?);
            }
            "name" | "extensions" | "timeout" | "memory" | "handler" | "wrapper" | "working-dir"
            | "concurrency" | "provisioned" | "snapstart" | "managed" => {
                set(&mut self.spec, name, parser.value()?)?;
            }
            _ => return Err(format!("unknown option --{name}; see --help").into()),
        }
        Ok(())
    }
}

/// The settings that `--KEY VALUE` and `--function KEY=VALUE` share.
fn set(spec: &mut FunctionSpec, key: &str, value: OsString) -> Result<(), lexopt::Error> {
    match key {
        "name" => spec.name = value.string()?,
        "extensions" => spec.extensions_dir = Some(value.into()),
        "timeout" => spec.timeout = seconds(&value)?,
        "memory" => spec.memory_mb = value.parse()?,
        "handler" => spec.handler = value.string()?,
        "wrapper" => spec.exec_wrapper = Some(value.into()),
        "working-dir" => spec.working_dir = Some(value.into()),
        "concurrency" => spec.max_concurrency = value.parse()?,
        "provisioned" => spec.init_type = InitType::ProvisionedConcurrency { environments: value.parse()? },
        "snapstart" => spec.init_type = InitType::SnapStart { environments: value.parse()? },
        "managed" => {
            spec.init_type = InitType::ManagedInstances { environments: 1, concurrency: value.parse()? };
        }
        "command" => spec.command = value.string()?.split_whitespace().map(OsString::from).collect(),
        _ => match key.strip_prefix("env.") {
            Some(name) => spec.env.push((name.to_owned(), value.string()?)),
            None => return Err(format!("unknown key {key}").into()),
        },
    }
    Ok(())
}

fn function(mut spec: FunctionSpec, text: &str) -> Result<FunctionSpec, lexopt::Error> {
    for item in text.split(',') {
        let (key, value) = pair(item)?;
        set(&mut spec, &key, value.into())?;
    }
    Ok(spec)
}

fn pair(text: &str) -> Result<(String, String), lexopt::Error> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text} is not KEY=VALUE"))?;
    Ok((key.into(), value.into()))
}

fn seconds(value: &OsString) -> Result<Duration, lexopt::Error> {
    let seconds: f64 = value.parse()?;
    Duration::try_from_secs_f64(seconds).map_err(|_| format!("{seconds} is not a duration in seconds").into())
}

fn xray(text: String) -> XRay {
    match text.as_str() {
        "passthrough" => XRay::PassThrough,
        "active" => XRay::Active,
        "not-sampled" => XRay::NotSampled,
        "absent" => XRay::Absent,
        _ => XRay::Header(text),
    }
}

fn in_freeze(text: &str) -> Result<InFreeze, lexopt::Error> {
    match text.split_once(':') {
        None if text == "lost" => Ok(InFreeze::Lost),
        Some(("late", ms)) => {
            let ms = ms.parse().map_err(|_| format!("{ms} is not a number"))?;
            Ok(InFreeze::Late(Duration::from_millis(ms)))
        }
        _ => Err(format!("--vm-freeze is lost or late:MS, not {text}").into()),
    }
}

fn subscribe_answer(code: &str) -> Result<SubscribeAnswer, lexopt::Error> {
    Ok(match code {
        "200" => SubscribeAnswer::Honest,
        "202" => SubscribeAnswer::NotSupported,
        "403" => SubscribeAnswer::Closed,
        "404" => SubscribeAnswer::NotFound,
        "500" => SubscribeAnswer::ServerError,
        _ => return Err(format!("--subscribe-answer is 202, 403, 404 or 500, not {code}").into()),
    })
}

fn telemetry_fault(text: &str) -> Result<TelemetryFault, lexopt::Error> {
    let (event, fate) = pair(text)?;
    let kind = EventKind::from_name(&event).ok_or_else(|| format!("there is no event {event}"))?;
    let (word, number) = fate.split_once(':').unwrap_or((&fate, "1"));
    let number: u64 = number.parse().map_err(|_| format!("{number} is not a number"))?;
    let fate = match word {
        "drop" => Fate::Drop,
        "hold" if number == 2 => Fate::HoldForTwo,
        "hold" => Fate::HoldUntilNext,
        "swap" => Fate::Swap,
        "delay" => Fate::Delay(Duration::from_millis(number)),
        "duplicate" => Fate::Duplicate(usize::try_from(number).unwrap_or(usize::MAX)),
        _ => return Err(format!("{word} is not a fate").into()),
    };
    Ok(TelemetryFault { kind, fate })
}

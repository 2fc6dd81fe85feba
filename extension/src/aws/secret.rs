//! References to secrets, and the two services that hold them: pure, from text to request and from answer to value.
//!
//! # Sources
//! `GetSecretValue`: <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>; `GetParameters`:
//! <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html>.

use std::fmt;

use serde_json::{Value, json};

use super::{Scope, domain_of, is_region};

/// What a reference begins with.
const BEGIN: &str = "secret://";

/// Which service holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Vault {
    /// AWS Secrets Manager.
    SecretsManager,
    /// The Parameter Store of AWS Systems Manager.
    ParameterStore,
}

/// `secret://<ARN or name>`, and `#<field>` where the secret is a JSON object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretRef {
    /// Who has it.
    pub vault: Vault,
    /// Where.
    pub region: String,
    /// Its ARN, or its name.
    pub id: String,
    /// Which field of it.
    pub field: Option<String>,
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{BEGIN}{}", self.id)?;
        self.field.as_ref().map_or(Ok(()), |field| write!(f, "#{field}"))
    }
}

impl SecretRef {
    /// The reference that `value` ends in, and what stands before it; `None` where it has none. A name is of `region`.
    ///
    /// # Errors
    /// With what is wrong with it.
    pub fn within<'a>(value: &'a str, region: Option<&str>) -> Option<Result<(&'a str, Self), &'static str>> {
        let (before, rest) = value.split_once(BEGIN)?;
        Some(Self::parse(rest, region).map(|reference| (before, reference)))
    }

    fn parse(text: &str, region: Option<&str>) -> Result<Self, &'static str> {
        if text.contains(|letter: char| letter.is_whitespace()) || text.contains(BEGIN) {
            return Err("the reference must stand at the end of the value");
        }
        let (id, field) = match text.split_once('#') {
            Some((id, field)) => (id, Some(field)),
            None => (text, None),
        };
        if id.is_empty() || field == Some("") {
            return Err("secret:// must name a secret, and behind # one of its fields");
        }
        let parts: Vec<&str> = id.split(':').collect();
        let (vault, region) = match parts[..] {
            ["arn", _, "secretsmanager", region, _, "secret", ..] => (Vault::SecretsManager, Some(region)),
            ["arn", _, "ssm", region, _, parameter] if parameter.starts_with("parameter/") => {
                (Vault::ParameterStore, Some(region))
            }
            ["arn", ..] => return Err("the ARN is neither of a secret nor of a parameter"),
            _ => (Vault::SecretsManager, region),
        };
        let region = region.filter(|region| is_region(region));
        let region =
            region.ok_or("secret:// with a name needs AWS_REGION, and with an ARN a region in it")?;
        Ok(Self { vault, region: region.into(), id: id.into(), field: field.map(str::to_owned) })
    }

    /// The host that is asked for it.
    pub fn host(&self) -> String {
        let service = self.scope().service;
        format!("{service}.{}.{}", self.region, domain_of(&self.region))
    }

    /// What the request for it is signed for.
    pub fn scope(&self) -> Scope {
        let service = match self.vault {
            Vault::SecretsManager => "secretsmanager",
            Vault::ParameterStore => "ssm",
        };
        Scope { service: service.to_owned(), region: self.region.clone() }
    }

    /// The header `x-amz-target` of that request, and its body.
    pub fn request(&self) -> (&'static str, Vec<u8>) {
        let (target, body) = match self.vault {
            Vault::SecretsManager => ("secretsmanager.GetSecretValue", json!({ "SecretId": self.id })),
            Vault::ParameterStore => {
                ("AmazonSSM.GetParameters", json!({ "Names": [self.id], "WithDecryption": true }))
            }
        };
        (target, body.to_string().into_bytes())
    }

    /// Its value, in an answer with this status.
    ///
    /// # Errors
    /// With the type of the error, and nothing of the answer: that may hold the secret.
    pub fn value(&self, status: u16, answer: &[u8]) -> Result<String, Missing> {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        if status != 200 {
            return Err(Missing::answered(status, &answer));
        }
        let text = match self.vault {
            Vault::SecretsManager => answer["SecretString"].as_str().ok_or(Missing::refused("NotText"))?,
            Vault::ParameterStore => {
                answer["Parameters"][0]["Value"].as_str().ok_or(Missing::refused("ParameterNotFound"))?
            }
        };
        let Some(field) = &self.field else { return Ok(text.trim().to_owned()) };
        let object: Value = serde_json::from_str(text).map_err(|_| Missing::refused("NotJson"))?;
        match &object[field] {
            Value::String(text) => Ok(text.clone()),
            number @ (Value::Number(_) | Value::Bool(_)) => Ok(number.to_string()),
            _ => Err(Missing::refused("NoSuchField")),
        }
    }
}

/// Why a value is not to be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The type of the error: AWS's own, or what is wrong with the secret.
    pub error: String,
    /// Whether somebody has to mend something; else it may be there a moment later.
    pub is_refused: bool,
}

impl Missing {
    /// It may be there a moment later.
    pub fn unavailable(error: &str) -> Self {
        Self { error: error.to_owned(), is_refused: false }
    }

    fn refused(error: &str) -> Self {
        Self { error: error.to_owned(), is_refused: true }
    }

    fn answered(status: u16, answer: &Value) -> Self {
        let named = answer["__type"].as_str().and_then(|text| text.rsplit('#').next());
        // It is printed: only what looks like the name of an error is believed to be one.
        let is_name = |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric()) && name.len() < 64;
        let name = named.filter(is_name).map_or_else(|| format!("Status{status}"), str::to_owned);
        let is_passing =
            status >= 500 || status == 429 || name.starts_with("Throttling") || name.starts_with("Internal");
        Self { error: name, is_refused: !is_passing }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "arn:aws:secretsmanager:ap-south-1:111122223333:secret:otlp-AbCdEf";
    const PARAMETER: &str = "arn:aws-cn:ssm:cn-north-1:111122223333:parameter/otlp/key";

    fn within(value: &str) -> Option<Result<(&str, SecretRef), &'static str>> {
        SecretRef::within(value, Some("eu-west-1"))
    }

    #[test]
    fn a_reference_is_told_from_a_value() {
        for (value, before, vault, host, id, field) in [
            (
                format!("Bearer secret://{SECRET}#api_key"),
                "Bearer ",
                Vault::SecretsManager,
                "secretsmanager.ap-south-1.amazonaws.com",
                SECRET,
                Some("api_key"),
            ),
            (
                format!("secret://{PARAMETER}"),
                "",
                Vault::ParameterStore,
                "ssm.cn-north-1.amazonaws.com.cn",
                PARAMETER,
                None,
            ),
            (
                "secret://prod/otlp".to_owned(),
                "",
                Vault::SecretsManager,
                "secretsmanager.eu-west-1.amazonaws.com",
                "prod/otlp",
                None,
            ),
        ] {
            let (found_before, found) = within(&value).expect("a reference").expect("a good one");
            assert_eq!((found_before, found.vault, &*found.host()), (before, vault, host), "{value}");
            assert_eq!((&*found.id, found.field.as_deref()), (id, field), "{value}");
            assert!(value.ends_with(&found.to_string()));
        }
        for value in ["", "Bearer abc", "secret:/x", "http://secret"] {
            assert_eq!(within(value), None, "{value}");
        }
    }

    #[test]
    fn what_is_no_reference_is_said() {
        for value in [
            "secret://",
            "secret://#key",
            "secret://name#",
            "secret://name more",
            "secret://a secret://b",
            "secret://arn:aws:s3:::bucket",
            "secret://arn:aws:ssm:eu-west-1:1:document/x",
            "secret://arn:aws:secretsmanager:nowhere:1:secret:x",
        ] {
            assert!(matches!(within(value), Some(Err(_))), "{value}");
        }
        assert!(matches!(SecretRef::within("secret://name", None), Some(Err(_))));
    }

    #[test]
    fn an_answer_has_the_value_or_the_type_of_an_error() {
        let of = |value: &str| within(value).expect("a reference").expect("a good one").1;
        let (text, field) = (of(&format!("secret://{SECRET}")), of(&format!("secret://{SECRET}#k")));
        let parameter = of(&format!("secret://{PARAMETER}"));
        let refused = |error: &str| Err((error.to_owned(), true));
        for (reference, status, answer, expected) in [
            (&text, 200, r#"{"SecretString":" abc \n"}"#, Ok("abc".to_owned())),
            (&field, 200, r#"{"SecretString":"{\"k\":\"abc\"}"}"#, Ok("abc".to_owned())),
            (&field, 200, r#"{"SecretString":"{\"k\":12}"}"#, Ok("12".to_owned())),
            (&field, 200, r#"{"SecretString":"{\"k\":{}}"}"#, refused("NoSuchField")),
            (&field, 200, r#"{"SecretString":"abc"}"#, refused("NotJson")),
            (&text, 200, r#"{"SecretBinary":"YWJj"}"#, refused("NotText")),
            (&parameter, 200, r#"{"Parameters":[{"Value":"abc"}]}"#, Ok("abc".to_owned())),
            (&parameter, 200, r#"{"Parameters":[],"InvalidParameters":["x"]}"#, refused("ParameterNotFound")),
            (
                &text,
                400,
                r#"{"__type":"com.amazonaws#AccessDeniedException"}"#,
                refused("AccessDeniedException"),
            ),
            (&text, 404, r#"{"__type":"ResourceNotFoundException"}"#, refused("ResourceNotFoundException")),
            (&text, 403, "<xml>", refused("Status403")),
            (&text, 400, r#"{"__type":"see s3cret: here"}"#, refused("Status400")),
            (
                &text,
                400,
                r#"{"__type":"ThrottlingException"}"#,
                Err(("ThrottlingException".to_owned(), false)),
            ),
            (
                &text,
                500,
                r#"{"__type":"InternalServiceError"}"#,
                Err(("InternalServiceError".to_owned(), false)),
            ),
            (&text, 503, "", Err(("Status503".to_owned(), false))),
            (&text, 429, "", Err(("Status429".to_owned(), false))),
        ] {
            let found = reference.value(status, answer.as_bytes());
            let found = found.map_err(|missing| (missing.error, missing.is_refused));
            assert_eq!(found, expected, "{status} {answer}");
        }
    }

    #[test]
    fn each_service_is_asked_as_it_wants() {
        let secret = within("secret://name").expect("a reference").expect("a good one").1;
        let value = format!("secret://{PARAMETER}");
        let parameter = within(&value).expect("a reference").expect("a good one").1;
        let shown = |(target, body): (&str, Vec<u8>)| format!("{target} {}", String::from_utf8_lossy(&body));
        assert_eq!(shown(secret.request()), r#"secretsmanager.GetSecretValue {"SecretId":"name"}"#);
        let expected =
            format!(r#"AmazonSSM.GetParameters {{"Names":["{PARAMETER}"],"WithDecryption":true}}"#);
        assert_eq!(shown(parameter.request()), expected);
        let scope = |reference: &SecretRef| reference.scope().service;
        assert_eq!((&*scope(&secret), &*scope(&parameter)), ("secretsmanager", "ssm"));
    }
}

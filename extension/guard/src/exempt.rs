//! Exceptions: words that say that a name is not the name of a secret, of card data or of a telephone after all, and values that
//! are not secrets although their name is.

/// Of the pairs of words of a secret, those that are no secret with a dot between: the key of an object or a row in a store.
pub(crate) const KEYS_OF_STORES: &[(&[u8], &[u8])] =
    &[(b"db", b"key"), (b"database", b"key"), (b"storage", b"key")];
/// Words of data that must never be stored that are also words of other things.
pub(crate) const AMBIGUOUS: &[&[u8]] = &[b"pin", b"otp", b"csc"];
/// Words at the end of a key that is about a pin on a map or on a board, a release of Erlang's OTP, and so on.
pub(crate) const NOT_FORBIDDEN: &[&[u8]] = &[
    b"app",
    b"color",
    b"colour",
    b"icon",
    b"id",
    b"label",
    b"lat",
    b"latitude",
    b"lon",
    b"longitude",
    b"node",
    b"position",
    b"region",
    b"release",
    b"route",
    b"x",
    b"y",
];
/// Words beside a track that is none of a card.
pub(crate) const MEDIA: &[&[u8]] =
    &[b"album", b"audio", b"media", b"music", b"playlist", b"song", b"sound", b"subtitle", b"video"];
/// How one signs in, and what else stands behind a name like `auth`, `credentials` or `pin` that is a word like others: no
/// secret where nothing follows.
pub(crate) const SCHEMES: &[&[u8]] = &[
    b"anonymous",
    b"api_key",
    b"apikey",
    b"apple",
    b"auth0",
    b"authentication",
    b"aws_iam",
    b"azure",
    b"basic",
    b"bearer",
    b"cognito",
    b"connected",
    b"custom",
    b"digest",
    b"disconnected",
    b"facebook",
    b"firebase",
    b"github",
    b"gitlab",
    b"google",
    b"iam",
    b"include",
    b"jwt",
    b"kerberos",
    b"ldap",
    b"local",
    b"microsoft",
    b"mtls",
    b"negotiate",
    b"none",
    b"ntlm",
    b"oauth",
    b"oauth2",
    b"oidc",
    b"okta",
    b"omit",
    b"optional",
    b"plain",
    b"required",
    b"same-origin",
    b"saml",
    b"sasl",
    b"scram",
    b"sso",
];
/// The last words of names behind which a scheme is one.
pub(crate) const OF_SCHEMES: &[&[u8]] =
    &[b"auth", b"authentication", b"authorization", b"credentials", b"pin"];
/// Words at the end of a key that is about a telephone, or about an app for one, and not its number: `phone.verified_at`,
/// `mobile.app.build`, `cell.id`.
pub(crate) const NOT_PHONES: &[&[u8]] = &[
    b"app",
    b"at",
    b"brand",
    b"build",
    b"carrier",
    b"date",
    b"height",
    b"id",
    b"make",
    b"millis",
    b"model",
    b"ms",
    b"ns",
    b"os",
    b"on",
    b"release",
    b"revision",
    b"serial",
    b"session",
    b"time",
    b"timestamp",
    b"type",
    b"verified",
    b"version",
    b"width",
];
/// Words before a signed number that measure something, beside those that measure whole numbers.
pub(crate) const DIFFERENCES: &[&[u8]] = &[
    b"balance",
    b"change",
    b"delta",
    b"diff",
    b"difference",
    b"drift",
    b"epoch",
    b"heap",
    b"lag",
    b"score",
    b"skew",
    b"ts",
];

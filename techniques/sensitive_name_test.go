package techniques

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSensitiveName(t *testing.T) {
	t.Parallel()
	c := &Config{SensitiveNames: []string{"kundennummer", ""}}
	tests := []struct{ name, want string }{
		// Whole words, whatever parts them.
		{"/prod/db/password", "password"},
		{"/prod/db/Password", "password"},
		{"PASSWORD", "password"},
		{"db_passwd", "passwd"},
		{"db-pwd", "pwd"},
		{"app.secret", "secret"},
		{"app.secrets", "secret"},
		{"dbPassword", "password"},
		{"DBPassword", "password"},
		{"dbPASSWORD", "password"},
		{"password1", "password"},
		{"password2prod", "password"},
		{"stripeAPIKey", "key"},
		{"STRIPE_API_KEY", "key"},
		{"api-key-2", "key"},
		{"github-token", "token"},
		{"oauth2Token", "token"},
		{"appKEY", "key"},
		{"stripeKEY2", "key"},
		{"public-password", "password"},
		{"ssh-passphrase", "passphrase"},
		{"/svc/creds", "cred"},
		{"service-credentials", "credential"},
		{"db-password-prod", "password"},
		// Glued to other words.
		{"dbpassword", "password"},
		{"clientsecret", "secret"},
		{"accesstoken", "token"},
		{"stripeapikey", "apikey"},
		{"sshprivatekeys", "privatekey"},
		// Folders of secrets.
		{"/prod/secrets/stripe", "secret"},
		{"/prod/api-keys/stripe", "keys"},
		{"/tokens/github", "tokens"},
		{"/prod/secrets/", "secret"},
		// At the end only.
		{"/app/basic-auth", "auth"},
		{"rsa_private", "private"},
		{"/tls/server.cert", "cert"},
		{"/tls/server.pem", "pem"},
		{"sentry-dsn", "dsn"},
		{"smtp_pass", "pass"},
		// Secrets Manager by way of Parameter Store.
		{"/aws/reference/secretsmanager/stripe", "secretsmanager"},
		// The organisation's own.
		{"/shop/kundennummer/7", "kundennummer"},
		{"/shop/KUNDENNUMMERS", "kundennummer"},
		{"/shop/kundennummern", ""},

		// Words that only contain one.
		{"monkey", ""},
		{"keyboard-layout", ""},
		{"/keyspaces/orders", ""},
		{"turkey", ""},
		{"keycloak-replicas", ""},
		{"secretary-email", ""},
		{"tokenizer-model", ""},
		{"passwordless", ""},
		{"/author/name", ""},
		{"compass", ""},
		{"certified", ""},
		{"/s/s", ""},
		{"ökey", ""},
		// About a secret, not one.
		{"secret-arn", ""},
		{"token_url", ""},
		{"passwordPolicy", ""},
		{"password-rotation-days", ""},
		{"/app/access-key-id", ""},
		{"kms-key-alias", ""},
		{"cert-manager-version", ""},
		// Services and networks with such names.
		{"/auth/log-level", ""},
		{"/auth-service/replicas", ""},
		{"/token-service/url", ""},
		{"/vpc/private-subnets", ""},
		{"/key/rotation/count", ""},
		// Keys that are public, or of tables and buckets.
		{"ssh-public-key", ""},
		{"orders-partition-key", ""},
		{"s3ObjectKey", ""},
		{"", ""},
		{"/", ""},
		{"///--__..42", ""},
	}
	for _, tt := range tests {
		assert.Equal(t, tt.want, c.sensitiveName(tt.name), tt.name)
	}
}

func TestSensitiveNameDoesNotAllocate(t *testing.T) {
	c := &Config{SensitiveNames: []string{"pin"}}
	assert.Zero(t, testing.AllocsPerRun(100, func() { c.sensitiveName("/prod/payments/dbPasswordOfTheServiceURL") }))
}

func FuzzSensitiveName(f *testing.F) {
	for _, s := range []string{"/prod/db/password", "DBPassword", "\xff\x80Key", "S3KeyÄ/Token"} {
		f.Add(s)
	}
	c := &Config{}
	f.Fuzz(func(t *testing.T, name string) {
		word := c.sensitiveName(name)
		if word != "" && !strings.Contains(strings.ToLower(name), word) {
			t.Errorf("%q is said to contain %q", name, word)
		}
		// A harmless folder above changes nothing, but for AWS's own folder.
		if below := c.sensitiveName("/x/" + name); below != word && word != "secretsmanager" {
			t.Errorf("%q: %q, but below /x/: %q", name, word, below)
		}
	})
}

// The quick look at last letters leaves nothing out, such as the letters beyond
// ASCII that fold to k and s.
func TestSameWord(t *testing.T) {
	words := []string{"", "k", "K", "\u212a", "s", "S", "ſ", "7", "é", "É", "keyſ", "KEYS", "pas\u017f", "pass", "-"}
	for _, s := range sensitiveWords {
		words = append(words, s.word, strings.ToUpper(s.word))
	}
	for _, a := range words {
		for _, b := range words {
			assert.Equal(t, strings.EqualFold(a, b), sameWord(a, b), "%q and %q", a, b)
		}
	}
}

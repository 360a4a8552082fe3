package account

import (
	"fmt"
	"strings"
	"time"
)

// The accounts: the one whose log it is, and a partner's.
const (
	accountID = "111122223333"
	partnerID = "444455556666"
)

// A session is an identity that calls from somewhere with some software.
type session struct {
	key        string // the principal, without paths and session names
	arn        string
	identity   raw    // userIdentity
	credential string // access key id
	ip         string
	agent      string
	endpoint   string // VPC endpoint
	console    bool   // with the credentials of a console session
	aws        bool   // the client is AWS itself
	presigned  bool   // the client is whoever was given a URL signed with the credentials
}

// from returns the session, calling from another address.
func (s session) from(ip string) session {
	s.ip = ip
	return s
}

// using returns the session with other software.
func (s session) using(agent string) session {
	s.agent = agent
	return s
}

// through returns the session, calling through a VPC endpoint.
func (s session) through(endpoint, ip string) session {
	s.endpoint, s.ip = endpoint, ip
	return s
}

// inConsole returns the session in the management console, whose back ends
// call with a name of their own.
func (s session) inConsole() session {
	s.console = true
	s.agent = consoleAgent
	return s
}

// service returns an AWS service on its own behalf.
func service(name string) session {
	host := name + ".amazonaws.com"
	return session{
		key: "service:" + host, arn: host, ip: host, agent: host, aws: true,
		identity: raw(text(fields{"type", "AWSService", "invokedBy", host})),
	}
}

// onBehalf returns AWS at work in the name of a session.
func (s session) onBehalf(by string) session {
	s.identity = raw(strings.TrimSuffix(string(s.identity), "}") + `,"invokedBy":` + text(by) + "}")
	s.ip, s.agent, s.aws, s.console, s.endpoint = by, by, true, false, ""
	return s
}

// user returns an IAM user with its long-term access key.
func (a *Account) user(name string) session { return a.withKey(name, name) }

// withKey returns an IAM user with one of its long-term access keys.
func (a *Account) withKey(name, key string) session {
	arn := iamARN("user/" + name)
	return session{
		key: arn, arn: arn,
		identity: raw(text(fields{
			"type", "IAMUser", "principalId", a.id("AIDA", name), "arn", arn, "accountId", accountID,
			"accessKeyId", a.accessKey("AKIA", key), "userName", name,
		})),
	}
}

// signedIn returns an IAM user in a console session that began with a login.
func (a *Account) signedIn(name string, login time.Time, mfa bool) session {
	s := a.user(name)
	s.identity = raw(text(fields{
		"type", "IAMUser", "principalId", a.id("AIDA", name), "arn", s.arn, "accountId", accountID,
		"accessKeyId", a.accessKey("ASIA", name+login.String()), "userName", name,
		"sessionContext", fields{"attributes", attributes(login, mfa)},
	}))
	return s.inConsole()
}

// anonymous returns nobody in particular.
func anonymous() session {
	return session{key: "anonymous", identity: raw(text(fields{
		"type", "AWSAccount", "principalId", "", "accountId", "ANONYMOUS_PRINCIPAL",
	}))}
}

// stranger returns a role of another account.
func (a *Account) stranger(account, role, sessionName string) session {
	id := a.id("AROA", account+role)
	return session{
		key: "aws-account:" + account + "/" + id, arn: "arn:aws:sts::" + account + ":assumed-role/" + role + "/" + sessionName,
		identity: raw(text(fields{"type", "AWSAccount", "principalId", id + ":" + sessionName, "accountId", account})),
	}
}

// A role is an IAM role.
type role struct {
	name string
	path string // with slashes, default "/"
	// extra members of the session context, such as the instance metadata version
	context fields
}

// serviceLinked returns a role that only an AWS service can use.
func serviceLinked(service, name string) role {
	return role{name: name, path: "/aws-service-role/" + service + ".amazonaws.com/"}
}

// as returns a session of a role since some time.
func (a *Account) as(r role, name string, since time.Time) session {
	since = since.Truncate(time.Second)
	arn := "arn:aws:sts::" + accountID + ":assumed-role/" + r.name + "/" + name
	id := a.id("AROA", r.name)
	context := fields{
		"sessionIssuer", fields{
			"type", "Role", "principalId", id, "arn", r.arn(), "accountId", accountID, "userName", r.name,
		},
		"attributes", attributes(since, false),
	}
	key := iamARN("role/" + r.name)
	if strings.HasPrefix(r.name, "AWSReservedSSO_") {
		key += "/" + name // one role for many people
	}
	credential := a.accessKey("ASIA", r.name+name+since.String())
	return session{
		key: key, arn: arn, credential: credential,
		identity: raw(text(fields{
			"type", "AssumedRole", "principalId", id + ":" + name, "arn", arn, "accountId", accountID,
			"accessKeyId", credential,
			"sessionContext", append(context, r.context...),
		})),
	}
}

// arn returns the ARN of a role, path included.
func (r role) arn() string {
	path := r.path
	if path == "" {
		path = "/"
	}
	return iamARN("role" + path + r.name)
}

func iamARN(resource string) string { return "arn:aws:iam::" + accountID + ":" + resource }

func attributes(since time.Time, mfa bool) fields {
	return fields{"creationDate", since.UTC().Truncate(time.Second).Format(time.RFC3339), "mfaAuthenticated", fmt.Sprint(mfa)}
}

// id returns a unique id as IAM gives them, plainly of no real account.
func (a *Account) id(prefix, name string) string { return prefix + "EXAMPLE" + a.letters(name, 10) }

// accessKey returns an access key id that is plainly no real one.
func (a *Account) accessKey(prefix, name string) string {
	return prefix + "IOSFODNN7" + a.letters("key/"+name, 7)
}

// letters returns n capitals and digits that depend on a name.
func (a *Account) letters(name string, n int) string {
	return a.draw("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", name, n)
}

// hex returns n hexadecimal digits that depend on a name.
func (a *Account) hex(name string, n int) string { return a.draw("0123456789abcdef", name, n) }

func (a *Account) draw(alphabet, name string, n int) string {
	r := a.random(name, uint64(n))
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[r.IntN(len(alphabet))]
	}
	return string(b)
}

// The software that people and workloads use.
const (
	cliAgent = "aws-cli/2.32.3 md/awscrt#0.28.4 ua/2.1 os/macos#25.1.0 md/arch#arm64 lang/python#3.13.9 " +
		"md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/prompt#off"
	oldCLIAgent    = "aws-cli/2.17.32 md/awscrt#0.21.2 ua/2.0 os/linux#6.8.0 md/arch#x86_64 lang/python#3.11.9 md/pyimpl#CPython cfg/retry-mode#standard md/installer#exe md/distrib#ubuntu.24 md/prompt#off"
	boto3Agent     = "Boto3/1.40.21 md/Botocore#1.40.21 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.12.9 md/pyimpl#CPython cfg/retry-mode#legacy Botocore/1.40.21"
	pythonLambda   = "Boto3/1.38.36 md/Botocore#1.38.46 ua/2.1 os/linux#5.10.238 md/arch#x86_64 lang/python#3.12.11 md/pyimpl#CPython exec-env/AWS_Lambda_python3.12 cfg/retry-mode#legacy Botocore/1.38.46"
	nodeLambda     = "aws-sdk-js/3.848.0 ua/2.1 os/linux#5.10.238 lang/js md/nodejs#22.17.0 exec-env/AWS_Lambda_nodejs22.x m/E,n"
	javaAgent      = "aws-sdk-java/2.32.9 md/io#async md/http#NettyNio ua/2.1 os/Linux#6.1.141 lang/java#21.0.8 md/OpenJDK_64-Bit_Server_VM md/vendor#Amazon.com_Inc. exec-env/AWS_ECS_FARGATE m/E,N"
	goAgent        = "aws-sdk-go-v2/1.36.5 ua/2.1 os/linux lang/go#1.24.4 md/GOOS#linux md/GOARCH#amd64 m/E,g"
	terraformAgent = "APN/1.0 HashiCorp/1.0 Terraform/1.13.1 (+https://www.terraform.io) terraform-provider-aws/6.10.0 (+https://registry.terraform.io/providers/hashicorp/aws) aws-sdk-go-v2/1.38.0 ua/2.1 os/linux lang/go#1.24.6 md/GOOS#linux md/GOARCH#amd64"
	ssmAgent       = "aws-sdk-go/1.55.5 (go1.23.8; linux; amd64) amazon-ssm-agent/3.3.2746.0"
	prowlerAgent   = "Boto3/1.39.15 md/Botocore#1.39.15 ua/2.1 os/linux#6.8.0 md/arch#x86_64 lang/python#3.12.11 md/pyimpl#CPython cfg/retry-mode#standard Botocore/1.39.15 APN_1826889"
	workerAgent    = "awslambda-worker/1.0  rusoto/0.48.0 rust/1.88.0 linux"
	consoleAgent   = "AWS Internal"
	s3Console      = "S3Console/0.4, aws-internal/3 aws-sdk-java/1.12.792 Linux/5.10.238 OpenJDK_64-Bit_Server_VM/25.462-b08 java/1.8.0_462 vendor/Oracle_Corporation cfg/retry-mode/standard"
	browserAgent   = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
	requestsAgent  = "python-requests/2.32.3"
	kaliAgent      = "aws-cli/1.38.4 md/Botocore#1.37.4 ua/2.0 os/linux#6.12.25-amd64 md/arch#x86_64 lang/python#3.13.3 md/pyimpl#CPython cfg/retry-mode#legacy botocore/1.37.4"
)

package account

import (
	"fmt"
	"slices"
	"time"
)

// An attack happens on one day. It is made with an identity that has a history,
// unless its story says otherwise.
type attack struct {
	name       string
	day        int // 0 is the first
	techniques []string
	rules      []string // ids of rules that could see it
	principal  func(*Account) string
	then       []string // further principals, in the order of use
	multiStage bool
	story      string
	live       func(*day)
}

// The principals that attacks are made with.
func byUser(name string) func(*Account) string {
	return func(*Account) string { return iamARN("user/" + name) }
}

func byPerson(name string) func(*Account) string {
	return func(a *Account) string {
		p := a.person(name)
		return p.principal(a)
	}
}

func byRole(name string) func(*Account) string {
	return func(*Account) string { return iamARN("role/" + name) }
}

func byAnyone(*Account) string { return "anonymous" }

// attacks lists the attacks, each on a day and with a principal of its own, so
// that none hides another.
var attacks = []attack{
	{
		name: "stolen-access-key", day: 16, principal: byUser("dmitri"),
		techniques: []string{"T1078.004", "T1580"},
		rules: []string{
			"first-seen-source-ip", "outside-known-networks", "user-agent-mismatch", "getcalleridentity-first-seen",
			"canonical-recon-set", "new-services-burst", "listbuckets-first-seen",
		},
		story: "The long-term key of a user of the command line leaks. A script on a rented server asks who it is and looks around.",
		live:  stolenAccessKey,
	},
	{
		name: "customer-data-flood", day: 17, principal: byRole("ecs-reporting"),
		techniques: []string{"T1530", "T1619"},
		rules: []string{
			"getobject-rate-over-baseline", "getobject-outside-networks", "distinct-keys-burst", "list-then-get", "first-seen-source-ip",
			"outside-known-networks", "user-agent-mismatch",
		},
		story: "The credentials of the reporting task are used from outside to list the customer exports and download 750 of them in five minutes.",
		live:  customerDataFlood,
	},
	{
		name: "user-data-sweep", day: 18, principal: byRole(supportRole.name),
		techniques: []string{"T1552.005", "T1552"},
		rules:      []string{"userdata-read", "userdata-bulk"},
		story:      "A session of the support role reads the user data of 20 instances, of which it may see every second one only.",
		live:       userDataSweep,
	},
	{
		name: "function-config-sweep", day: 19, principal: byPerson("hannah"),
		techniques: []string{"T1552"},
		rules:      []string{"lambda-config-read", "lambda-env-sweep"},
		story:      "A developer without functions lists all functions and reads the configuration, with its environment variables, of twelve.",
		live:       functionConfigSweep,
	},
	{
		name: "parameter-dump", day: 20, principal: byPerson("lena"),
		techniques: []string{"T1552"},
		rules:      []string{"ssm-sensitive-name", "ssm-bulk", "ssm-path-dump", "ssm-secure-decrypt-first-seen"},
		story:      "An analyst's session, which never read a parameter, dumps the tree from its root and reads forty by name, passwords among them.",
		live:       parameterDump,
	},
	{
		name: "instance-credentials-stolen", day: 21, principal: byRole("web-asg-instance"),
		techniques: []string{"T1552", "T1078.004"},
		rules: []string{
			"secretsmanager-bulk", "instance-creds-off-instance", "first-seen-source-ip", "outside-known-networks", "secretsmanager-first-seen",
			"one-key-many-networks",
		},
		story: "Credentials taken from a web server's metadata service are used elsewhere to read 25 secrets in ten minutes, while the server goes on.",
		live:  instanceCredentialsStolen,
	},
	{
		name: "password-data", day: 22, principal: byRole(helpdeskRole.name),
		techniques: []string{"T1552"},
		rules:      []string{"get-password-data"},
		story:      "The helpdesk role asks for the Windows administrator passwords of twelve instances.",
		live:       passwordData,
	},
	{
		name: "bucket-sweep", day: 23, principal: byRole("lambda-thumbnailer"),
		techniques: []string{"T1619", "T1078.004"},
		rules: []string{
			"listbuckets-first-seen", "bucket-sweep", "sensitive-prefix-listing", "listobjects-unexpected", "lambda-creds-off-lambda",
			"first-seen-source-ip", "outside-known-networks", "user-agent-mismatch",
		},
		story: "A function's credentials leak through an error page. Somebody lists the buckets, then nine of them, and looks for backups and finance data.",
		live:  bucketSweep,
	},
	{
		name: "denied-recon", day: 24, principal: byRole(deployRole.name),
		techniques: []string{"T1580"},
		rules:      []string{"denied-recon-burst", "new-services-burst"},
		story:      "A poisoned build step tries 25 things that the deployment role may not do.",
		live:       deniedRecon,
	},
	{
		name: "scripted-enumeration", day: 25, principal: byRole(renderRole.name),
		techniques: []string{"T1580"},
		rules:      []string{"distinct-apis-50-5m", "new-services-burst", "canonical-recon-set"},
		story:      "An enumeration script runs inside a compromised render job: 70 kinds of calls in four minutes, from the usual address.",
		live:       scriptedEnumeration,
	},
	{
		name: "bucket-opened", day: 28, principal: byAnyone,
		techniques: []string{"T1530", "T1619"},
		rules:      []string{"anonymous-read", "anonymous-listing", "bucket-opened"},
		story:      "A platform engineer opens the wrong bucket to the world. A crawler finds it in the afternoon and takes what is there.",
		live:       bucketOpened,
	},
	{
		name: "key-quarantined", day: 27, principal: byUser("marco"),
		techniques: []string{"T1078.004", "T1552"},
		rules:      []string{"aws-quarantined-key"},
		story:      "AWS finds a user's key in a public repository and attaches its quarantine policy to the user.",
		live:       keyQuarantined,
	},
	{
		name: "console-login-without-mfa", day: 26, principal: byUser("priya"),
		techniques: []string{"T1078.004"},
		rules:      []string{"console-login-no-mfa", "first-seen-source-ip", "outside-known-networks"},
		story:      "After three wrong guesses, somebody signs in as a user whose second factor was removed, from a new address.",
		live:       consoleLoginWithoutMFA,
	},
	{
		name: "plaintext-secret", day: 29, principal: byPerson("oscar"),
		techniques: []string{"T1552"},
		rules:      []string{"plaintext-secret-written"},
		story:      "No intruder: a developer stores an API key as a plain string, where the next one will find it.",
		live:       plaintextSecret,
	},
	{
		name: "bad-reputation", day: 30, principal: byUser("yuki"),
		techniques: []string{"T1580", "T1078.004"},
		rules:      []string{"malicious-ip", "first-seen-source-ip", "outside-known-networks"},
		story:      "A user's key makes a few discovery calls from an address that is on every block list.",
		live:       badReputation,
	},
}

func stolenAccessKey(d *day) {
	w := d.work(d.at(3, 12), d.user("dmitri").from(attackerA+"77").using(requestsAgent), 9*time.Second)
	w.do(canonicalRecon[:4]...)
	w.listBuckets()
	w.do(canonicalRecon[4:]...)
	w.pause(2 * time.Minute)
	w.deny("iam:CreateUser", fields{"userName", "backup-svc"})
	w.do("iam:GetUser")
}

func customerDataFlood(d *day) {
	s := d.as(taskRole("reporting"), "report-"+d.start.Format("20060102"), d.clock(0, 3)).from(attackerB + "23").using(boto3Agent)
	w := d.work(d.at(22, 40), s, 2*time.Second)
	for _, prefix := range []string{"", "daily/", "daily/customers-0"} {
		w.list(exports, prefix)
	}
	w.pace = 400 * time.Millisecond
	for n := range 750 {
		w.get(exports, exportKey(n))
	}
}

func userDataSweep(d *day) {
	s := d.as(supportRole, "tara@example.com", d.clock(13, 2)).from(d.address(vpn)).using(boto3Agent)
	w := d.work(d.at(13, 5), s, 2*time.Second)
	w.do("ec2:DescribeInstances")
	for i, id := range d.instances(20) {
		if i%2 == 1 {
			w.deny("ec2:DescribeInstanceAttribute", fields{"attribute", "userData", "instanceId", id})
			continue
		}
		w.userData(id)
	}
}

func functionConfigSweep(d *day) {
	p := d.person("hannah")
	w := d.work(d.at(20, 15), d.as(d.signOnRole(p.set), p.email(), d.clock(20, 10)).from(d.address(vpn)).using(cliAgent), 4*time.Second)
	w.do("lambda:ListFunctions20150331")
	for _, f := range functions[:12] {
		w.function("GetFunctionConfiguration20150331v2", f)
	}
}

func parameterDump(d *day) {
	p := d.person("lena")
	w := d.work(d.at(18, 30), d.as(d.signOnRole(p.set), p.email(), d.clock(18, 25)).from(attackerA+"140").using(cliAgent), 2*time.Second)
	w.do("ssm:DescribeParameters")
	w.call("ssm:GetParametersByPath", fields{"path", "/", "recursive", true, "withDecryption", true})
	for _, name := range []string{"/prod/db/password", "/prod/payments/api_key", "/prod/auth/jwt-signing-key"} {
		w.param(name, true)
	}
	var names []string
	for n := range 40 {
		names = append(names, fmt.Sprintf("/app/prod/%s/%s", functions[n%20], []string{"db_password", "endpoint"}[n/20]))
	}
	for batch := range slices.Chunk(names, 10) {
		w.params(batch)
	}
}

func instanceCredentialsStolen(d *day) {
	w := d.work(d.at(11, 20), d.onInstance("web-asg", 1).from(attackerB+"90").using(boto3Agent), 15*time.Second)
	w.do("sts:GetCallerIdentity", "secretsmanager:ListSecrets")
	for n := range 25 {
		w.secret(secret(n))
	}
}

func passwordData(d *day) {
	s := d.as(helpdeskRole, "ulrich@example.com", d.clock(9, 12)).from(attackerA + "201").using(cliAgent)
	w := d.work(d.at(9, 20), s, 3*time.Second)
	w.do("ec2:DescribeInstances")
	for _, id := range d.instances(12) {
		w.call("ec2:GetPasswordData", fields{"instanceId", id})
	}
}

func bucketSweep(d *day) {
	s := d.as(functionRole("thumbnailer"), "thumbnailer", d.clock(15, 1)).from(attackerB + "151").using(kaliAgent)
	w := d.work(d.at(15, 10), s, 20*time.Second)
	w.listBuckets()
	for _, b := range []string{exports, lake, marts, assets, artifacts, tfstate} {
		w.list(b, "")
	}
	w.list(backups, "backups/")
	w.list(backups, "finance/")
	w.list(finance, "finance/")
	w.list(shared, "exports/")
}

func deniedRecon(d *day) {
	w := d.ciSession(d.at(16, 45), fmt.Sprintf("run-%d99", d.n))
	w.do("sts:GetCallerIdentity")
	w.pace = 5 * time.Second
	for i := range 25 {
		w.deny(catalogue[i*7], nil)
	}
}

func scriptedEnumeration(d *day) {
	w := d.work(d.at(5, 40), d.renderSession(5), 3*time.Second)
	w.do(canonicalRecon...)
	for i := range 66 {
		w.do(catalogue[i*3])
	}
}

func bucketOpened(d *day) {
	p := d.person("tomas")
	opener := d.work(d.at(9, 55), d.as(d.signOnRole(p.set), p.email(), d.clock(9, 50)).from(d.address(office)).inConsole().using(s3Console), time.Second)
	opener.openBucket(marketing)
	w := d.work(d.at(14, 30), anonymous().from(attackerB+"180").using("Wget/1.24.5"), 2*time.Second)
	w.list(marketing, "")
	w.list(marketing, "leads/")
	for n := range 40 {
		w.get(marketing, fmt.Sprintf("leads/2025-%02d.csv", n))
	}
}

func keyQuarantined(d *day) {
	root := session{
		key: iamARN("root"), arn: iamARN("root"),
		identity: raw(text(fields{"type", "Root", "principalId", accountID, "arn", iamARN("root"), "accountId", accountID})),
	}
	d.work(d.at(7, 7), root.onBehalf("AWS Internal"), time.Second).call("iam:AttachUserPolicy", fields{
		"userName", "marco", "policyArn", "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV2",
	})
}

func consoleLoginWithoutMFA(d *day) {
	p := d.person("priya")
	p.mfa = false
	at := d.at(1, 30)
	ip := attackerA + "33"
	guess := d.work(at, session{
		ip: ip, agent: browserAgent,
		identity: raw(text(fields{"type", "IAMUser", "accountId", accountID, "accessKeyId", "", "userName", p.name})),
	}, 20*time.Second)
	for range 3 {
		guess.write(loginCall(false, "Failure"))
	}
	w := d.work(guess.now.Add(5*time.Second), p.login(d, guess.now, ip), 2*time.Second)
	w.do(homePage...)
}

func plaintextSecret(d *day) {
	p := d.person("oscar")
	w := d.work(d.at(10, 50), d.as(d.signOnRole(p.set), p.email(), d.clock(6, 55)).from(d.address(office)).using(cliAgent), time.Second)
	w.call("ssm:PutParameter", fields{
		"name", "/prod/payments/api_key", "value", "HIDDEN_DUE_TO_SECURITY_REASONS", "type", "String", "overwrite", false,
	})
}

func badReputation(d *day) {
	w := d.work(d.at(19, 5), d.user("yuki").from(badAddress).using(cliAgent), 6*time.Second)
	w.do("ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeSnapshots", "iam:ListUsers", "rds:DescribeDBInstances")
	w.listBuckets()
}

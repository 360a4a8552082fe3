package account

import (
	"fmt"
	"time"
)

// traps are honest people and programs that do something new. A detector may
// mention them quietly; it should not raise the alarm. There is a traveller,
// too: see [person.place].
var traps = []actor{
	{"trap/new-hire", newHire},
	{"trap/new-service", newService},
	{"trap/mistyped-permission", mistypedPermission},
	{"trap/key-words", keyWords},
	{"trap/on-call", onCall},
	{"trap/monthly-close", monthlyClose},
	{"trap/key-rotation", keyRotation},
	{"trap/newly-allowed", newlyAllowed},
	{"trap/public-on-purpose", publicOnPurpose},
	{"trap/broken-job", brokenJob},
	{"trap/signed-downloads", signedDownloads},
}

// newHire comes on the twenty-first day and does what colleagues do.
func newHire(d *day) {
	if d.n < 20 {
		return
	}
	p := person{name: "zoe", set: "Developer", n: 60, console: true}
	p.live(d)
}

// newService goes live on the twenty-third day, with parameters and a folder
// of its own.
func newService(d *day) {
	if d.n < 22 {
		return
	}
	for hour := range 24 {
		at := d.at(hour, 10)
		w := d.work(at, d.as(taskRole("loyalty"), d.hex(fmt.Sprint("loyalty", d.n), 32), at).from(d.address(natProd)).using(javaAgent), 10*time.Second)
		w.param("/app/prod/loyalty/db_password", true)
		w.get(assets, fmt.Sprintf("loyalty/config/%d.json", d.IntN(6)))
		w.put(uploads, fmt.Sprintf("loyalty/%s/%d.json", d.start.Format("2006-01-02"), hour))
	}
}

// mistypedPermission is a policy that forgot a few actions for an hour.
func mistypedPermission(d *day) {
	if d.n != 17 && d.n != 25 {
		return
	}
	at := d.at(10, 20)
	s := d.as(taskRole("ledger"), d.hex(fmt.Sprint("task", "ledger", d.n/3), 32), d.clock(0, 0)).from(d.address(natProd)).using(javaAgent)
	w := d.work(at, s, 3*time.Minute)
	for range 4 {
		w.denyObject("GetObject", assets, "ledger/config/1.json")
		w.deny("sqs:ReceiveMessage", fields{"queueUrl", "https://sqs." + home + ".amazonaws.com/" + accountID + "/ledger"})
	}
	w.pause(30 * time.Minute)
	w.get(assets, "ledger/config/1.json")
}

// keyWords reads parameters whose names contain "key" and "token" as part of
// other words.
func keyWords(d *day) {
	if d.weekend() || d.n < 15 {
		return
	}
	w := d.work(d.at(11, 0), d.as(taskRole("catalog"), "catalog", d.clock(0, 1)).from(d.address(natProd)).using(javaAgent), 3*time.Second)
	w.param("/app/prod/catalog/monkey-image-size", false)
	w.param("/app/prod/catalog/keyboard-layouts", false)
	w.param("/app/prod/catalog/tokenizer-model", false)
}

// onCall is a platform engineer woken at night, who looks for the cause in
// services that are not his own.
func onCall(d *day) {
	if d.n != 18 {
		return
	}
	p := d.person("henrik")
	at := d.at(2, 20)
	w := d.work(at.Add(5*time.Second), p.login(d, at, p.home(d)), 900*time.Millisecond)
	w.do(homePage...)
	for _, page := range [][]string{logsPage, containerPage, databasePage, lambdaPage, ec2Page, queryPage, logsPage} {
		w.pause(2*time.Minute + d.upTo(4*time.Minute))
		w.do(page...)
	}
	for _, f := range functions[:2] {
		w.function("GetFunction20150331v2", f)
	}
	w.do("cloudtrail:LookupEvents", "sqs:ListQueues", "sns:ListTopics", "route53:ListHealthChecks")
}

// monthlyClose is what the ledger does on the first of the month, and nobody
// has seen it do before.
func monthlyClose(d *day) {
	if d.n < 15 || d.start.Day() != 1 {
		return
	}
	at := d.at(4, 30)
	s := d.as(taskRole("ledger"), d.hex(fmt.Sprint("close", d.n), 32), at).from(d.address(natProd)).using(javaAgent)
	w := d.work(at, s, time.Second)
	w.secret("prod/ledger/partner-sftp")
	w.list(finance, "ledger/")
	for n := range 120 {
		w.get(finance, fmt.Sprintf("ledger/%02d.csv", n))
	}
	w.put(finance, "closing/"+d.start.AddDate(0, 0, -1).Format("2006-01")+".pdf")
}

// keyReplaced is the day from which the new access key is in use.
const keyReplaced = 23

// keyRotation is a user who makes a second access key, tries it for two days
// beside the first, and then deletes that one: see [person.user].
func keyRotation(d *day) {
	p := d.person("marco")
	old, made := d.accessKey("AKIA", p.name), d.accessKey("AKIA", p.name+"/new")
	w := d.work(d.at(9, 15), p.user(d).from(d.address(office)).using(p.cli(d)), 20*time.Second)
	tried := d.withKey(p.name, p.name+"/new").from(w.ip).using(w.agent)
	switch d.n {
	case keyReplaced - 2:
		w.do("iam:ListAccessKeys")
		w.write(&call{api: "iam:CreateAccessKey", request: fields{"userName", p.name}, response: fields{"accessKey", fields{
			"userName", p.name, "accessKeyId", made, "status", "Active", "createDate", w.now.UTC().Format("Jan 2, 2006, 3:04:05 PM"),
		}}})
		w.session = tried
		w.do("sts:GetCallerIdentity", "ec2:DescribeInstances")
	case keyReplaced - 1:
		w.session = tried
		w.do("ec2:DescribeInstances", "ec2:DescribeVolumes")
	case keyReplaced:
		w.call("iam:UpdateAccessKey", fields{"userName", p.name, "accessKeyId", old, "status", "Inactive"})
	case keyReplaced + 1:
		w.do("iam:ListAccessKeys")
		w.call("iam:DeleteAccessKey", fields{"userName", p.name, "accessKeyId", old})
	}
}

// newlyAllowed is a role's policy changed, and the colleague who may take on
// the role from then on.
func newlyAllowed(d *day) {
	switch {
	case d.n == 23:
		p := d.person("greta")
		w := d.work(d.at(15, 5), d.as(d.signOnRole(p.set), p.email(), d.clock(15, 0)).from(d.address(office)).inConsole(), 2*time.Second)
		w.call("iam:GetRole", fields{"roleName", customersRole.name})
		w.call("iam:UpdateAssumeRolePolicy", fields{"roleName", customersRole.name, "policyDocument", text(fields{
			"Version", "2012-10-17", "Statement", []fields{{"Effect", "Allow", "Action", "sts:AssumeRole", "Principal", fields{
				"AWS", []string{iamARN("user/gwen"), iamARN("user/elena"), iamARN("user/farid")},
			}}},
		})})
	case d.n > 23 && !d.weekend():
		lookUp(d, "farid", 11)
	}
}

// publicOnPurpose is a new bucket, opened to the world, for the world to read.
func publicOnPurpose(d *day) {
	if d.n == 22 {
		p := d.person("henrik")
		w := d.work(d.at(10, 40), d.as(d.signOnRole(p.set), p.email(), d.clock(10, 30)).from(d.address(office)).inConsole().using(s3Console), 3*time.Second)
		for _, name := range []string{"CreateBucket", "DeleteBucketPublicAccessBlock"} {
			w.write(&call{
				api: "s3:" + name, request: fields{"bucketName", careers, "Host", bucketHost(careers)},
				more: w.transfer(0, 0, false), resources: []fields{bucketResource(careers)},
			})
		}
		w.openBucket(careers)
		w.put(careers, "index.html")
	}
	if d.n < 23 {
		return
	}
	for range 25 {
		w := d.work(d.start.Add(d.upTo(24*time.Hour)), anonymous().from(d.visitor()).using(browserAgent), 2*time.Second)
		w.get(careers, pick(d.Rand, []string{"index.html", "jobs/engineer.html", "jobs/analyst.html"}))
	}
}

// brokenJob lost a permission and tries again all day.
func brokenJob(d *day) {
	if d.n != 19 {
		return
	}
	s := d.as(taskRole("inventory"), d.hex(fmt.Sprint("task", "inventory", d.n/3), 32), d.clock(0, 0)).from(d.address(natProd)).using(javaAgent)
	w := d.work(d.at(8, 0), s, 45*time.Second)
	for range 400 {
		w.deny("secretsmanager:GetSecretValue", fields{"secretId", secret(2)})
		w.denyObject("GetObject", assets, "inventory/config/1.json")
	}
}

// signedDownloads is a program that gives its users URLs to download their
// files with: calls under its role, from everywhere.
func signedDownloads(d *day) {
	s := d.as(taskRole("downloads"), d.hex(fmt.Sprint("task", "downloads", d.n/3), 32), d.clock(0, 0)).using(javaAgent)
	for hour := range 24 {
		inside := s.from(d.address(natProd))
		w := d.work(d.at(hour, 15), inside, 20*time.Second)
		for range 1 + d.IntN(3) {
			key := fmt.Sprintf("receipts/%s/%08x.pdf", d.start.Format("2006-01-02"), d.Uint32())
			w.session = inside
			w.put(uploads, key)
			w.session = s.from(d.visitor()).using(browserAgent)
			w.presigned = true
			w.get(uploads, key)
		}
	}
}

package account

import (
	"fmt"
	"time"
)

// stories lists the attacks of several stages: what an intruder does in hours,
// with one identity after the other. Each stage alone may be explained away.
var stories = []attack{
	{
		name: "key-to-customer-data", day: 31, principal: byUser("elena"), multiStage: true,
		then:       []string{iamARN("role/" + customersRole.name)},
		techniques: []string{"T1530", "T1078.004", "T1580", "T1619"},
		rules: []string{
			"first-seen-source-ip", "outside-known-networks", "user-agent-mismatch", "getcalleridentity-first-seen", "canonical-recon-set",
			"denied-recon-burst", "new-services-burst", "listbuckets-first-seen", "sensitive-prefix-listing", "list-then-get",
			"getobject-rate-over-baseline", "getobject-outside-networks",
		},
		story: "A user's long-term key leaks. From a rented server the intruder asks who it is, looks around and is often refused, finds the " +
			"role that may see customers' data, takes it on, and downloads 45 files.",
		live: keyToCustomerData,
	},
	{
		name: "slow-and-patient", day: 32, principal: byUser("farid"), multiStage: true,
		then:       []string{iamARN("role/" + customersRole.name)},
		techniques: []string{"T1530", "T1078.004", "T1552", "T1580", "T1619"},
		rules: []string{
			"getcalleridentity-first-seen", "listbuckets-first-seen", "lambda-config-read", "userdata-read", "ssm-sensitive-name", "listobjects-unexpected",
			"getobject-outside-networks",
		},
		story: "A user's laptop at home does what somebody else says. With the user's key, tool and address, it makes a few calls an hour for " +
			"twenty hours, while the user is at work: one function, one instance, one parameter, and then a few of the customers' files each " +
			"hour. Each alone is nothing much.",
		live: slowAndPatient,
	},
	{
		name: "instance-to-finance", day: 33, principal: byRole("monitoring-instance"), multiStage: true,
		then:       []string{iamARN("user/gwen")},
		techniques: []string{"T1552.005", "T1552", "T1078.004", "T1580", "T1619", "T1530"},
		rules: []string{
			"instance-creds-off-instance", "first-seen-source-ip", "outside-known-networks", "getcalleridentity-first-seen", "denied-recon-burst",
			"new-services-burst", "secretsmanager-bulk", "ssm-bulk", "ssm-sensitive-name", "lambda-config-read", "lambda-env-sweep",
			"user-agent-mismatch", "listbuckets-first-seen", "sensitive-prefix-listing", "list-then-get", "getobject-rate-over-baseline",
			"getobject-outside-networks", "one-key-many-networks",
		},
		story: "Credentials taken from a monitoring server's metadata service are used elsewhere: secrets, parameters, and the environment of " +
			"functions, in one of which is a user's key. With that one the finance bucket is listed and 40 files are taken.",
		live: instanceToFinance,
	},
}

func keyToCustomerData(d *day) {
	w := d.work(d.at(1, 20), d.user("elena").from(attackerB+"44").using(boto3Agent), 8*time.Second)
	w.do("sts:GetCallerIdentity")
	w.pause(5 * time.Minute)
	w.do("iam:GetUser", "iam:ListAttachedUserPolicies", "ec2:DescribeInstances", "ec2:DescribeVpcs")
	for _, api := range []string{
		"iam:ListUsers", "iam:ListAccessKeys", "rds:DescribeDBInstances", "lambda:ListFunctions20150331", "secretsmanager:ListSecrets",
		"kms:ListKeys", "ecs:ListClusters",
	} {
		w.deny(api, nil)
	}
	w.do("iam:ListRoles")

	w.pause(35 * time.Minute)
	w.deny("sts:AssumeRole", fields{"roleArn", terraformRole.arn(), "roleSessionName", "botocore-session-1"})
	w.pause(2 * time.Minute)
	data := d.work(w.now, w.assume(customersRole, "botocore-session-2"), 20*time.Second)
	data.do("sts:GetCallerIdentity")
	data.listBuckets()
	data.list(exports, "")
	data.denyObject("ListObjects", backups, "")
	data.denyObject("ListObjects", finance, "")
	data.list(exports, "daily/")

	data.pause(time.Hour)
	w.now = data.now
	data.session = w.assume(customersRole, "botocore-session-3") // the first has expired
	data.now = w.now
	data.pace = 4 * time.Second
	for n := range 45 {
		data.get(exports, exportKey(n))
	}
}

func slowAndPatient(d *day) {
	p := d.person("farid")
	user := p.user(d).from(p.home(d)).using(p.cli(d))
	hours := []func(*work){
		func(w *work) { w.do("sts:GetCallerIdentity", "iam:GetUser") },
		func(w *work) { w.do("ec2:DescribeInstances", "ec2:DescribeVolumes") },
		func(w *work) { w.listBuckets() },
		func(w *work) { w.do("lambda:ListFunctions20150331") },
		func(w *work) { w.function("GetFunctionConfiguration20150331v2", "stock-sync") },
		func(w *work) { w.do("ssm:DescribeParameters") },
		func(w *work) { w.param("/app/prod/ledger/oauth_token", true) },
		func(w *work) { w.list(artifacts, ""); w.list(assets, "") },
		func(w *work) { w.userData(d.instance("bastion", 0)) },
		func(w *work) { w.do("iam:ListRoles") },
	}
	for hour := range 20 {
		w := d.work(d.clock(1+hour, 0).Add(d.upTo(50*time.Minute)), user, time.Minute)
		if hour < len(hours) {
			hours[hour](w)
			continue
		}
		w.session = w.assume(customersRole, "farid")
		w.list(exports, "daily/")
		for n := range 3 {
			w.get(exports, exportKey(3*hour+n))
		}
	}
}

func instanceToFinance(d *day) {
	const address = attackerA + "118"
	w := d.work(d.at(4, 10), d.onInstance("monitoring", 2).from(address).using(boto3Agent), 15*time.Second)
	w.do("sts:GetCallerIdentity")
	for _, api := range []string{"iam:ListUsers", "iam:ListRoles", "s3:ListBuckets", "rds:DescribeDBInstances", "ec2:DescribeSnapshots"} {
		w.deny(api, nil)
	}
	w.do("ec2:DescribeInstances", "monitoring:DescribeAlarms")

	w.pause(30 * time.Minute)
	w.do("secretsmanager:ListSecrets")
	for n := range 7 {
		w.secret(secret(3 * n))
	}
	w.pause(20 * time.Minute)
	w.do("ssm:DescribeParameters")
	for n := range 6 {
		w.param(parameter(3*n), true)
	}
	w.pause(25 * time.Minute)
	w.do("lambda:ListFunctions20150331")
	for _, f := range functions[12:18] {
		w.function("GetFunctionConfiguration20150331v2", f)
	}

	w.pause(time.Hour)
	w = d.work(w.now, d.user("gwen").from(address).using(boto3Agent), 15*time.Second)
	w.do("sts:GetCallerIdentity")
	w.listBuckets()
	w.list(backups, "")
	w.list(finance, "")
	w.list(finance, "ledger/")
	w.pause(10 * time.Minute)
	w.pace = 3 * time.Second
	for n := range 40 {
		w.get(finance, fmt.Sprintf("ledger/%02d.csv", n))
	}
}

package account

import (
	"fmt"
	"time"
)

// workloads are programs at work under roles of their own.
func (a *Account) workloads() []actor {
	var actors []actor
	for i := range functions {
		for _, name := range a.copies(functions[i]) {
			actors = append(actors, actor{"function/" + name, func(d *day) { function(d, i, name) }})
		}
	}
	for i := range tasks {
		for _, name := range a.copies(tasks[i]) {
			actors = append(actors, actor{"task/" + name, func(d *day) { task(d, i, name) }})
		}
	}
	for _, name := range fleets {
		actors = append(actors, actor{"fleet/" + name, func(d *day) { fleet(d, name) }})
	}
	return append(actors, []actor{
		{"workload/reporting", reporting},
		{"workload/exports", exportCustomers},
		{"workload/ci", continuousIntegration},
		{"workload/release", release},
		{"workload/external-secrets", externalSecrets},
		{"workload/nightly-etl", nightlyETL},
		{"workload/batch-render", batchRender},
		{"workload/security-audit", weeklyScan},
		{"workload/cspm", dailyPosture},
		{"workload/backup", nightlyBackup},
		{"workload/website", websiteVisitors},
		{"workload/campaigns", campaigns},
		{"workload/partner", partner},
	}...)
}

// copies returns a name, and more like it if the account is scaled up.
func (a *Account) copies(name string) []string {
	names := []string{name}
	for n := 2; n <= a.scale; n++ {
		names = append(names, fmt.Sprint(name, "-", n))
	}
	return names
}

// function is a Lambda function: at each cold start it reads its
// configuration, then it works on its own part of a bucket. Functions outside
// a network call from wherever AWS runs them.
func function(d *day, i int, name string) {
	agent := pythonLambda
	if i%2 == 1 {
		agent = nodeLambda
	}
	for hour := range 24 {
		if d.chance(50) {
			at := d.at(hour, d.IntN(56))
			s := d.as(functionRole(name), name, at).using(agent)
			if i%3 == 0 {
				s = s.from(d.address(natProd))
			} else {
				s = s.from(fmt.Sprintf("%s%d.%d", lambdaNet, 64+(i+d.IntN(2))%4, 1+d.IntN(254)))
			}
			logs := s.using(workerAgent)
			d.work(at, logs, time.Second).call("logs:CreateLogStream", fields{
				"logGroupName", "/aws/lambda/" + name, "logStreamName", d.start.Format("2006/01/02") + "/[$LATEST]" + d.hex(fmt.Sprint(name, at), 32),
			})
			w := d.work(at.Add(time.Second), s, time.Second)
			switch i % 4 {
			case 0:
				w.param("/app/prod/"+name+"/db_password", true)
			case 1:
				w.secret("prod/" + name + "/api")
			case 2:
				w.get(uploads, fmt.Sprintf("%s/%s/%08x.json", name, d.start.Format("2006-01-02"), w.Uint32()))
			default:
				w.param("/app/prod/"+name+"/endpoint", false)
				w.put(uploads, fmt.Sprintf("%s/%s/%08x.json", name, d.start.Format("2006-01-02"), w.Uint32()))
			}
		}
	}
}

// task is a container service behind the NAT gateway. Busy hours are busier.
func task(d *day, i int, name string) {
	s := d.as(taskRole(name), d.hex(fmt.Sprint("task", name, d.n/3), 32), d.clock(0, 0)).using(javaAgent)
	for hour := range 24 {
		n := 1
		if hour >= 7 && hour <= 20 && !d.weekend() {
			n = 2
		}
		w := d.work(d.at(hour, 5), s.from(d.address(natProd)), 20*time.Second)
		for range n {
			w.get(assets, fmt.Sprintf("%s/config/%d.json", name, d.IntN(6)))
		}
		if hour%6 == 0 {
			w.secret(secret(i))
			w.param(parameter(3*i), true)
		}
	}
}

// fleet is a group of instances: the agent on each checks in, and the
// instances read what they need through the VPC endpoint.
func fleet(d *day, name string) {
	for n := range 3 {
		s := d.onInstance(name, n)
		for hour := n; hour < 24; hour += 6 {
			w := d.work(d.at(hour, 10*n), s.using(ssmAgent), 2*time.Second)
			w.call("ssm:UpdateInstanceInformation", fields{"instanceId", d.instance(name, n), "agentName", "amazon-ssm-agent", "agentStatus", "Active"})
			w.call("ssm:ListInstanceAssociations", fields{"instanceId", d.instance(name, n), "maxResults", 20})
			inside := s.using(boto3Agent).through(s3Endpoint, fmt.Sprintf("10.20.%d.%d", n, 20+len(name)))
			w = d.work(w.now, inside, 5*time.Second)
			w.get(artifacts, "agents/"+name+"/latest.tar.gz")
			if name == "web-asg" {
				w.session = s.using(boto3Agent)
				w.secret(secret(0))
			}
		}
	}
}

// onInstance returns the credentials that an instance has today.
func (d *day) onInstance(fleet string, n int) session {
	return d.as(instanceRole(fleet), d.instance(fleet, n), d.clock(0, -7)).from(d.address(natProd))
}

// reporting reads customer data for reports, a little every hour.
func reporting(d *day) {
	s := d.as(taskRole("reporting"), "report-"+d.start.Format("20060102"), d.clock(0, 3)).from(d.address(natProd)).using(javaAgent)
	for hour := 6; hour < 20; hour++ {
		w := d.work(d.at(hour, 30), s, 8*time.Second)
		w.list(exports, "daily/")
		for n := range 8 + d.IntN(8) {
			w.get(exports, exportKey(n))
		}
	}
}

func exportKey(n int) string { return fmt.Sprintf("daily/customers-%05d.csv", n) }

// exportCustomers writes what reporting reads.
func exportCustomers(d *day) {
	w := d.work(d.at(4, 0), d.as(taskRole("exports-service"), "export", d.clock(3, 50)).from(d.address(natProd)).using(javaAgent), 3*time.Second)
	for n := range 24 {
		w.put(exports, exportKey(n))
	}
}

// ciSession returns a run of the deployment role. Its runner has an address
// that was never seen before and will not be seen again.
func (d *day) ciSession(at time.Time, run string) *work {
	ip := d.anyAddress(githubNet)
	subject := "repo:examplecorp/shop:ref:refs/heads/main"
	provider := "arn:aws:iam::" + accountID + ":oidc-provider/token.actions.githubusercontent.com"
	r := deployRole
	r.context = fields{"webIdFederationData", fields{"federatedProvider", provider, "attributes", fields{}}}
	w := d.work(at, session{
		key: "web-identity:token.actions.githubusercontent.com/" + subject, ip: ip, agent: oldCLIAgent,
		identity: raw(text(fields{
			"type", "WebIdentityUser", "principalId", provider + ":sts.amazonaws.com:" + subject, "userName", subject, "identityProvider", provider,
		})),
	}, time.Second)
	s := d.as(r, run, at).from(ip).using(oldCLIAgent)
	response := append(fields{"subjectFromWebIdentityToken", subject}, w.credentials(r, run, s)...)
	w.write(&call{
		api: "sts:AssumeRoleWithWebIdentity", request: fields{"roleArn", r.arn(), "roleSessionName", run}, response: response,
		resources: []fields{{"accountId", accountID, "type", "AWS::IAM::Role", "ARN", r.arn()}},
	})
	return d.work(w.now, s, 3*time.Second)
}

// continuousIntegration builds and deploys on every push.
func continuousIntegration(d *day) {
	runs := 14 + d.IntN(6)
	if d.weekend() {
		runs = 2
	}
	for n := range runs {
		w := d.ciSession(d.at(7+n%12, 3*n), fmt.Sprintf("run-%d%02d", d.n, n))
		w.do("sts:GetCallerIdentity", "ecr:GetAuthorizationToken")
		service := pick(d.Rand, tasks)
		w.call("ecr:DescribeRepositories", fields{"repositoryNames", []string{service}})
		w.call("ecr:DescribeImages", fields{"repositoryName", service})
		w.put(artifacts, fmt.Sprintf("builds/%s/%d.zip", service, n))
		w.get(artifacts, fmt.Sprintf("builds/%s/%d.zip", service, n))
		w.call("ecs:DescribeServices", fields{"cluster", "prod", "services", []string{service}})
		w.call("ecs:RegisterTaskDefinition", fields{"family", service})
		w.call("ecs:UpdateService", fields{"cluster", "prod", "service", service})
		f := pick(d.Rand, functions)
		w.function("GetFunction20150331v2", f)
		w.function("UpdateFunctionCode20150331v2", f)
		w.do("cloudformation:DescribeStacks")
	}
}

// release rolls out once a day: it reads the user data of the web servers that
// it replaces, and the database's password.
func release(d *day) {
	if d.weekend() {
		return
	}
	w := d.work(d.at(9, 40), d.as(role{name: "release-manager"}, "release", d.clock(9, 38)).from(d.address(natBatch)).using(goAgent), 2*time.Second)
	w.do("ec2:DescribeInstances", "autoscaling:DescribeAutoScalingGroups", "ec2:DescribeLaunchTemplates")
	for n := range 2 {
		w.userData(d.instance("web-asg", n))
	}
	w.param("/app/prod/db_password", true)
	w.call("autoscaling:StartInstanceRefresh", fields{"autoScalingGroupName", "web-asg"})
}

// externalSecrets copies parameters into a cluster, every hour.
func externalSecrets(d *day) {
	s := d.as(secretsRole, "external-secrets-provider-aws", d.clock(0, 0)).using(goAgent)
	for hour := range 24 {
		w := d.work(d.at(hour, 2), s.from(d.address(natProd)), 300*time.Millisecond)
		for n := range 30 {
			w.param(parameter(n), n%3 == 0)
		}
	}
}

// nightlyETL does in half an hour what is hundreds of times its mean.
func nightlyETL(d *day) {
	w := d.work(d.at(2, 0), d.as(etlRole, "etl-"+d.start.Format("20060102"), d.clock(1, 58)).from(d.address(natBatch)).using(boto3Agent), time.Second)
	for part := range 15 {
		w.list(lake, fmt.Sprintf("raw/events/part=%02d/", part))
		for n := range 100 + d.IntN(15) {
			w.get(lake, fmt.Sprintf("raw/events/part=%02d/%s-%04d.parquet", part, d.start.Format("2006-01-02"), n))
		}
		w.put(marts, fmt.Sprintf("events/%s/part=%02d.parquet", d.start.Format("2006-01-02"), part))
	}
	// The rest of the day, next to nothing.
	for hour := 3; hour < 24; hour += 2 {
		w := d.work(d.at(hour, 0), w.session, 20*time.Second)
		w.get(lake, "raw/manifest.json")
	}
}

// batchRender is a batch job with narrow habits.
func batchRender(d *day) {
	for hour := 1; hour < 24; hour += 4 {
		w := d.work(d.at(hour, 20), d.renderSession(hour), 5*time.Second)
		w.get(assets, "render/templates.zip")
		for n := range 6 {
			w.put(assets, fmt.Sprintf("render/out/%s/%d-%d.png", d.start.Format("2006-01-02"), hour, n))
		}
		w.call("batch:DescribeJobs", fields{"jobs", []string{"render"}})
	}
}

func (d *day) renderSession(hour int) session {
	return d.as(renderRole, fmt.Sprintf("render-%02d", hour), d.clock(hour, 18)).from(d.address(natBatch)).using(boto3Agent)
}

// weeklyScan looks at everything, each Monday, and may not see all of it.
func weeklyScan(d *day) {
	if d.start.Weekday() != time.Monday {
		return
	}
	w := d.work(d.at(6, 0), d.as(auditRole, "prowler", d.clock(5, 59)).from(d.address(natScanner)).using(prowlerAgent), 800*time.Millisecond)
	for i, api := range catalogue {
		if i%17 == 16 {
			w.deny(api, nil)
			continue
		}
		w.do(api)
	}
	for _, b := range buckets {
		for _, name := range postureReads {
			w.posture(name, b)
		}
	}
	for _, f := range functions {
		w.function("GetFunction20150331v2", f)
		w.function("GetPolicy20150331v2", f)
	}
	for _, i := range d.instances(12) {
		w.userData(i)
	}
}

// dailyPosture checks the configuration of everything for a vendor, who takes
// on the role from the vendor's account.
func dailyPosture(d *day) {
	vendor := d.stranger("777788889999", "posture-collector", "collector").from(vendorNet + "5").using(goAgent)
	w := d.work(d.at(3, 30), vendor, time.Second)
	s := d.as(postureRole, "collector", w.now).from(vendor.ip).using(vendor.agent)
	w.write(&call{
		api: "sts:AssumeRole", request: fields{"roleArn", postureRole.arn(), "roleSessionName", "collector", "externalId", "examplecorp-1"},
		response: w.credentials(postureRole, "collector", s), shared: true,
		resources: []fields{{"accountId", accountID, "type", "AWS::IAM::Role", "ARN", postureRole.arn()}},
	})
	w = d.work(w.now, s, 1200*time.Millisecond)
	w.listBuckets()
	for _, b := range buckets {
		for _, name := range postureReads[:4] {
			w.posture(name, b)
		}
	}
	w.do("lambda:ListFunctions20150331")
	for _, f := range functions {
		w.function("GetFunctionConfiguration20150331v2", f)
	}
	w.do("ec2:DescribeInstances", "ec2:DescribeSecurityGroups", "iam:GetAccountSummary", "iam:ListUsers", "rds:DescribeDBInstances")
}

// nightlyBackup copies a few things where they are safe.
func nightlyBackup(d *day) {
	w := d.work(d.at(1, 15), d.as(backupRole, "backup", d.clock(1, 14)).from(d.address(natBatch)).using(boto3Agent), 2*time.Second)
	w.do("rds:DescribeDBInstances", "rds:CreateDBSnapshot", "ec2:DescribeVolumes", "ec2:CreateSnapshot")
	w.list(finance, "ledger/")
	for n := range 30 {
		w.get(finance, fmt.Sprintf("ledger/%02d.csv", n))
		w.put(backups, fmt.Sprintf("finance/%s/ledger/%02d.csv", d.start.Format("2006-01-02"), n))
	}
	w.list(backups, "finance/")
}

// websiteVisitors read the public website. Some poke at buckets that are not
// public.
func websiteVisitors(d *day) {
	for range 220 {
		s := anonymous().from(d.visitor()).using(browserAgent)
		w := d.work(d.start.Add(d.upTo(24*time.Hour)), s, 2*time.Second)
		w.get(website, pick(d.Rand, []string{"index.html", "style.css", "logo.svg", "about.html", "shop.js"}))
		if d.chance(3) {
			w.agent = "curl/8.7.1"
			w.denyObject("ListObjects", pick(d.Rand, []string{assets, uploads, website}), "")
		}
	}
}

// partner collects files from the bucket that is shared with it.
func partner(d *day) {
	for hour := 5; hour < 24; hour += 6 {
		w := d.work(d.at(hour, 0), d.stranger(partnerID, "inventory-sync", "sync").from(d.address(partnerNet)).using(boto3Agent), 2*time.Second)
		w.list(shared, "stock/")
		for n := range 8 {
			w.get(shared, fmt.Sprintf("stock/%02d.csv", n))
		}
	}
}

// campaigns prepares the marketing bucket's files.
func campaigns(d *day) {
	for hour := 8; hour < 18; hour += 3 {
		w := d.work(d.at(hour, 15), d.as(taskRole("campaigns"), "campaigns", d.clock(0, 5)).from(d.address(natProd)).using(javaAgent), 10*time.Second)
		w.list(marketing, "banners/")
		for n := range 4 {
			w.get(marketing, fmt.Sprintf("banners/%d.png", n))
		}
		w.put(marketing, fmt.Sprintf("reports/%s-%d.json", d.start.Format("2006-01-02"), hour))
	}
}

package account

import (
	"fmt"
	"slices"
	"time"
)

// A person is somebody with access, through the organisation's single sign-on
// or as an IAM user.
type person struct {
	name    string
	set     string // permission set, or "" for an IAM user
	n       int    // position among everybody
	console bool   // prefers the console to the command line
	mfa     bool   // logs in with a second factor, as an IAM user
	ipv6    bool   // the home has IPv6
	travels bool   // is away for a week
	rotates bool   // replaces the access key: see keyRotation
}

// Permission sets, and the names of those who have them.
var staff = []struct {
	set     string
	console bool
	names   []string
}{
	{"Developer", false, []string{"hannah", "oscar", "wei", "nadia", "pavel", "ingrid", "kofi", "julia"}},
	{"Developer", true, []string{"amir", "bea", "carlos", "divya", "emil", "freya"}},
	{"Platform", true, []string{"tomas", "greta", "henrik"}},
	{"Platform", false, []string{"ines", "jonas"}},
	{"DataAnalyst", true, []string{"lena", "karim", "mila", "noor"}},
	{"DataAnalyst", false, []string{"omar"}},
	{"ReadOnly", true, []string{"paula", "quentin", "rosa", "stefan"}},
	{"Support", true, []string{"tara", "ulrich", "vera"}},
}

// Names of IAM users, who have no permission set.
var (
	keyUsers     = []string{"dmitri", "marco", "yuki", "elena", "farid", "gwen"}
	consoleUsers = []string{"priya", "ruth", "simon", "thea"}
)

// everybody returns the people of the account. With traps, one of them travels
// and one replaces his access key.
func (a *Account) everybody(withTraps bool) []person {
	var people []person
	add := func(names []string, p person) {
		for _, original := range names {
			for _, name := range a.copies(original) {
				p.name, p.n = name, len(people)
				p.ipv6 = p.n%3 == 0
				p.travels = withTraps && name == "freya"
				p.rotates = withTraps && name == "marco"
				people = append(people, p)
			}
		}
	}
	for _, team := range staff {
		add(team.names, person{set: team.set, console: team.console})
	}
	add(keyUsers, person{})
	add(consoleUsers, person{console: true, mfa: true})
	return people
}

// person returns somebody by name.
func (a *Account) person(name string) person {
	i := slices.IndexFunc(a.people, func(p person) bool { return p.name == name })
	return a.people[i]
}

// persons are the people at work, and the machine that applies their plans.
func (a *Account) persons() []actor {
	actors := []actor{{"workload/terraform", terraform}, {"routine/customer-data", customerData}}
	for _, p := range a.people {
		actors = append(actors, actor{"person/" + p.name, func(d *day) { p.live(d) }})
	}
	return actors
}

// live is a day at the office, or at home.
func (p *person) live(d *day) {
	if d.weekend() && !d.chance(6) {
		return
	}
	if d.n >= 14 && d.chance(5) {
		return // ill; not in the first two weeks, which show all of a person's habits
	}
	start := 7 + (p.n+d.IntN(2))%3
	if p.console {
		p.browse(d, d.at(start, d.IntN(50)))
		if d.chance(60) {
			p.browse(d, d.at(start+5, d.IntN(50)))
		}
		return
	}
	for range 3 + d.IntN(3) {
		p.shell(d, d.at(start+d.IntN(9), d.IntN(55)))
	}
}

// place returns where a person calls from. Each week has its days in the
// office, one at home and one elsewhere, through the VPN. A home with IPv6
// uses the one protocol in one week and the other in the next.
func (p *person) place(d *day) string {
	switch {
	case p.travels && d.n >= 20 && d.n < 27:
		return d.address(hotel)
	case (p.n+int(d.start.Weekday()))%5 == 3:
		return d.address(vpn)
	case (p.n+int(d.start.Weekday()))%5 != 4:
		return d.address(office)
	}
	return p.home(d)
}

// home returns an address of a person's home.
func (p *person) home(d *day) string {
	if p.ipv6 && d.n/7%2 == 1 {
		return fmt.Sprintf("2001:db8:%x::%x:%x", 0x1000+p.n, 1+d.IntN(0xfffe), 1+d.IntN(0xfffe))
	}
	return fmt.Sprint("198.18.", 100+p.n%100, ".", 7+p.n/100)
}

// signOnRole returns the role that a permission set became in the account.
func (a *Account) signOnRole(set string) role {
	return role{name: "AWSReservedSSO_" + set + "_" + a.hex("sso/"+set, 16), path: "/aws-reserved/sso.amazonaws.com/" + home + "/"}
}

// email is the session name of a person who signs on.
func (p *person) email() string { return p.name + "@example.com" }

// principal is the key of a person.
func (p *person) principal(a *Account) string {
	if p.set == "" {
		return iamARN("user/" + p.name)
	}
	return iamARN("role/" + a.signOnRole(p.set).name + "/" + p.email())
}

// login signs a person in to the console and returns the session.
func (p *person) login(d *day, at time.Time, ip string) session {
	var s session
	if p.set == "" {
		s = d.signedIn(p.name, at, p.mfa)
	} else {
		s = d.as(d.signOnRole(p.set), p.email(), at).inConsole()
	}
	s = s.from(ip)
	by := s.using(browserAgent)
	by.console = false
	if p.set == "" {
		by.identity = raw(text(fields{
			"type", "IAMUser", "principalId", d.id("AIDA", p.name), "arn", s.arn, "accountId", accountID, "accessKeyId", "", "userName", p.name,
		}))
	}
	d.work(at, by, time.Second).write(loginCall(p.mfa, "Success"))
	return s
}

func loginCall(mfa bool, outcome string) *call {
	used := "No" // as for everyone who comes through single sign-on
	if mfa {
		used = "Yes"
	}
	c := &call{
		api: "signin:ConsoleLogin", eventType: "AwsConsoleSignIn", response: fields{"ConsoleLogin", outcome},
		more: fields{"LoginTo", "https://console.aws.amazon.com/console/home", "MobileVersion", "No", "MFAUsed", used},
	}
	if outcome == "Failure" {
		c.message = "Failed authentication"
	}
	return c
}

// Pages of the console: opening one makes many calls within seconds.
var (
	homePage = []string{
		"ce:GetCostAndUsage", "ce:GetCostForecast", "health:DescribeEventAggregates", "servicecatalog-appregistry:ListApplications",
		"notifications:ListNotificationHubs", "resource-explorer-2:ListViews", "trustedadvisor:ListRecommendations",
		"freetier:GetFreeTierUsage", "uxc:GetAccountColor", "support:DescribeSeverityLevels", "ec2:DescribeRegions",
	}
	ec2Page = append([]string{
		"autoscaling:DescribeAutoScalingGroups", "elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeTargetGroups",
		"monitoring:DescribeAlarms", "compute-optimizer:GetEnrollmentStatus", "ec2:DescribeCapacityReservations",
		"ec2:GetInstanceMetadataDefaults", "ec2:DescribeFastSnapshotRestores",
	}, catalogue[:24]...)
	lambdaPage = []string{
		"lambda:ListFunctions20150331", "lambda:GetAccountSettings20160819", "lambda:ListEventSourceMappings20150331", "lambda:ListLayers20181031",
		"logs:DescribeLogGroups", "monitoring:DescribeAlarms",
	}
	logsPage = []string{
		"logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:StartQuery", "logs:GetQueryResults", "monitoring:ListMetrics",
		"monitoring:DescribeAlarms", "monitoring:ListDashboards",
	}
	containerPage = []string{
		"ecs:ListClusters", "ecs:DescribeClusters", "ecs:ListServices", "ecs:DescribeServices", "ecs:ListTasks", "ecs:DescribeTasks",
		"ecr:DescribeRepositories", "elasticloadbalancing:DescribeTargetHealth",
	}
	databasePage = []string{
		"rds:DescribeDBInstances", "rds:DescribeDBClusters", "rds:DescribeDBSnapshots", "rds:DescribeEvents", "rds:DescribeDBSubnetGroups",
		"pi:GetResourceMetrics",
	}
	accessPage = []string{
		"iam:ListUsers", "iam:ListRoles", "iam:ListGroups", "iam:ListPolicies", "iam:GetAccountSummary", "iam:ListMFADevices",
		"iam:GetAccountPasswordPolicy", "access-analyzer:ListAnalyzers",
	}
	queryPage = []string{
		"athena:ListWorkGroups", "athena:ListDataCatalogs", "athena:GetWorkGroup", "athena:StartQueryExecution", "athena:GetQueryExecution",
		"athena:GetQueryResults", "glue:GetDatabases", "glue:GetTables", "glue:GetTable",
	}
	billingPage = []string{
		"ce:GetCostAndUsage", "ce:GetCostForecast", "ce:GetDimensionValues", "budgets:DescribeBudgets", "cur:DescribeReportDefinitions",
	}
)

// habits returns the pages that a person opens. They are few, and the same
// every day.
func (p *person) habits() [][]string {
	switch p.set {
	case "Developer":
		return [][]string{logsPage, containerPage}
	case "Platform":
		return [][]string{ec2Page, databasePage, containerPage, accessPage}
	case "DataAnalyst":
		return [][]string{queryPage, logsPage}
	case "ReadOnly":
		return [][]string{ec2Page, billingPage}
	case "Support":
		return [][]string{logsPage, ec2Page}
	}
	return [][]string{ec2Page, logsPage}
}

// browse is a session in the console.
func (p *person) browse(d *day, at time.Time) {
	w := d.work(at.Add(5*time.Second), p.login(d, at, p.place(d)), 900*time.Millisecond)
	w.do(homePage...)
	for range 2 {
		w.pause(10*time.Second + d.upTo(time.Minute))
		page := pick(d.Rand, p.habits())
		w.agent = pick(d.Rand, []string{consoleAgent, browserAgent})
		w.do(page...)
		if page[0] == ec2Page[0] {
			w.call("ec2:DescribeInstanceAttribute", fields{"attribute", "disableApiTermination", "instanceId", pick(d.Rand, d.instances(12))})
		}
	}
	w.pace = 5 * time.Second
	switch p.set {
	case "DataAnalyst":
		w.agent = s3Console
		w.listBuckets()
		w.list(marts, "events/")
		for n := range 2 + d.IntN(5) {
			w.get(marts, fmt.Sprintf("events/summary-%02d.csv", n))
		}
	case "Developer":
		p.develop(w)
	case "Support":
		p.support(w)
	case "Platform":
		w.agent = s3Console
		w.listBuckets()
		w.posture("GetBucketLocation", pick(d.Rand, buckets[:4]))
		w.posture("GetBucketPolicyStatus", pick(d.Rand, buckets[:4]))
	}
}

// develop is work on a person's own functions. Half of the developers have
// two; the others have none, and never look at any.
func (p *person) develop(w *work) {
	own, ok := p.functions()
	if !ok {
		return
	}
	w.do(lambdaPage[:2]...)
	f := pick(w.Rand, own)
	if w.n == p.n%5 {
		w.call("lambda:CreateFunction20150331", fields{"functionName", f + "-next", "runtime", "python3.12", "role", functionRole(f).arn()})
		w.function("GetFunction20150331v2", f+"-next")
	}
	for _, f := range own {
		w.function("GetFunction20150331v2", f)
		w.function("GetFunctionConfiguration20150331v2", f)
	}
	if w.chance(50) {
		w.function("UpdateFunctionCode20150331v2", f)
		w.function("GetFunctionConfiguration20150331v2", f)
	}
}

// functions returns the functions that a developer looks after.
func (p *person) functions() ([]string, bool) {
	if p.set != "Developer" || p.n%2 == 0 {
		return nil, false
	}
	n := p.n % len(functions)
	return functions[n:min(n+2, len(functions))], true
}

// support is work with the tools of the support team, under two roles.
func (p *person) support(w *work) {
	w.session = w.using(cliAgent)
	w.console = false
	tools := w.work(w.now, w.assume(supportRole, p.email()), 4*time.Second)
	tools.do("ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ssm:DescribeInstanceInformation", "logs:DescribeLogGroups")
	desk := w.work(tools.now, w.assume(helpdeskRole, p.email()), 4*time.Second)
	desk.do("ec2:DescribeInstances", "ec2:DescribeTags", "workspaces:DescribeWorkspaces")
}

// shell is a stretch of work at the command line.
func (p *person) shell(d *day, at time.Time) {
	s := p.user(d)
	if p.set != "" {
		s = d.as(d.signOnRole(p.set), p.email(), d.clock(6, 55))
	}
	w := d.work(at, s.from(p.place(d)).using(p.cli(d)), 15*time.Second)
	switch p.set {
	case "Developer":
		w.do(pick(d.Rand, p.habits())[:4]...)
		p.develop(w)
		w.get(artifacts, fmt.Sprintf("builds/%s/%d.zip", pick(d.Rand, tasks), d.IntN(12)))
	case "Platform":
		w.do("sts:GetCallerIdentity")
		w.do(pick(d.Rand, p.habits())[:6]...)
		w.list(artifacts, "builds/")
	case "DataAnalyst":
		w.do(queryPage[:6]...)
		w.list(marts, "events/")
		for n := range 3 {
			w.get(marts, fmt.Sprintf("events/summary-%02d.csv", n))
		}
	default:
		w.do("ec2:DescribeInstances", "ec2:DescribeVolumes", "logs:DescribeLogGroups")
		w.list(artifacts, "builds/")
		w.get(artifacts, fmt.Sprintf("builds/%s/%d.zip", pick(d.Rand, tasks), d.IntN(12)))
		if d.chance(30) {
			w.agent = boto3Agent
			w.call("sqs:GetQueueAttributes", fields{"queueUrl", "https://sqs." + home + ".amazonaws.com/" + accountID + "/orders"})
		}
	}
}

// user returns a person as an IAM user, with the access key of that day.
func (p *person) user(d *day) session {
	if p.rotates && d.n >= keyReplaced {
		return d.withKey(p.name, p.name+"/new")
	}
	return d.user(p.name)
}

// cli returns a person's command line.
func (p *person) cli(d *day) string {
	if p.n%2 == 0 && d.n < 12 {
		return oldCLIAgent // upgraded on the twelfth day
	}
	return cliAgent
}

// customerData is what happens when customers ask: one of two people takes on
// the role that may, and looks at a few files.
func customerData(d *day) {
	if d.weekend() {
		return
	}
	lookUp(d, "gwen", 10)
	if d.n%2 == 0 {
		lookUp(d, "elena", 14)
	}
}

func lookUp(d *day, name string, hour int) {
	p := d.person(name)
	w := d.work(d.at(hour, 25), p.user(d).from(p.place(d)).using(p.cli(d)), 5*time.Second)
	w = d.work(w.now, w.assume(customersRole, name), 15*time.Second)
	w.list(exports, "daily/")
	for range 3 + d.IntN(3) {
		w.get(exports, exportKey(d.IntN(24)))
	}
}

// refresh is what Terraform reads on every run: 58 kinds of calls within five
// minutes.
var refresh = slices.Concat(
	catalogue[:34],
	[]string{"iam:GetRole", "iam:ListRolePolicies", "iam:ListAttachedRolePolicies", "iam:GetPolicyVersion", "iam:ListOpenIDConnectProviders"},
	[]string{"rds:DescribeDBInstances", "rds:DescribeDBSubnetGroups", "rds:DescribeDBParameterGroups", "rds:ListTagsForResource"},
	[]string{"kms:DescribeKey", "kms:GetKeyRotationStatus", "kms:GetKeyPolicy", "lambda:ListVersionsByFunction20150331", "logs:DescribeLogGroups"},
	[]string{"ecs:DescribeClusters", "ecs:DescribeServices", "elasticloadbalancing:DescribeLoadBalancers", "elasticloadbalancing:DescribeListeners"},
	[]string{"autoscaling:DescribeAutoScalingGroups", "sns:GetTopicAttributes", "sqs:GetQueueAttributes", "route53:ListHostedZones", "acm:DescribeCertificate"},
	[]string{"sts:GetCallerIdentity"},
)

// terraform plans and applies. It reads the user data of the instances that it
// made itself.
func terraform(d *day) {
	if d.weekend() {
		return
	}
	for run := range 2 + d.IntN(2) {
		at := d.at(9+3*run, 20)
		w := d.work(at, d.as(terraformRole, "tfc-run", at).from(d.address(natBatch)).using(terraformAgent), 1500*time.Millisecond)
		w.do(refresh...)
		for _, f := range functions[:8] {
			w.function("GetFunction20150331v2", f)
		}
		w.posture("GetBucketPolicy", assets)
		w.posture("GetBucketVersioning", assets)
		w.get(tfstate, "prod/terraform.tfstate")
		if run == 0 && d.start.Weekday() == time.Monday {
			w.runInstance(d.instance("build-agents", 10+d.mondays()))
		}
		for n := range d.mondays() {
			w.userData(d.instance("build-agents", 11+n))
		}
		if run == 0 {
			w.put(tfstate, "prod/terraform.tfstate")
		}
	}
}

// mondays returns how many Mondays there have been. On each, Terraform makes a
// new build agent, and refreshes all of them from then on.
func (d *day) mondays() int {
	n := 0
	for i := range d.n + 1 {
		if d.Account.start.AddDate(0, 0, i).Weekday() == time.Monday {
			n++
		}
	}
	return n
}

// runInstance makes an instance.
func (w *work) runInstance(id string) {
	w.write(&call{
		api: "ec2:RunInstances",
		request: fields{
			"instancesSet", fields{"items", []fields{{"imageId", "ami-0c0ffee0c0ffee0c0", "minCount", 1, "maxCount", 1}}},
			"instanceType", "m7g.large", "userData", "<sensitiveDataRemoved>", "monitoring", fields{"enabled", false},
		},
		response: fields{"instancesSet", fields{"items", []fields{{"instanceId", id, "instanceState", fields{"code", 0, "name", "pending"}}}}},
	})
}

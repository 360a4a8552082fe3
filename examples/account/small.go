package account

import (
	"fmt"
	"time"
)

// smallCast is four principals with a few sessions a day: a first look, small
// enough to keep in a repository.
func (a *Account) smallCast() []actor {
	return []actor{
		{"person/alex", alex},
		{"person/sam", sam},
		{"workload/shop", shop},
		{"workload/nightly-report", nightlyReport},
	}
}

// alex works at the command line with a long-term key, from two places.
func alex(d *day) {
	for _, hour := range []int{9, 14} {
		ip := d.address(office)
		if d.n%3 == 2 {
			ip = d.address(vpn)
		}
		w := d.work(d.at(hour, 10), d.user("alex").from(ip).using(cliAgent), 12*time.Second)
		w.do("ec2:DescribeInstances", "logs:DescribeLogGroups")
		w.list(artifacts, "builds/")
		for n := range 4 {
			w.get(artifacts, fmt.Sprintf("builds/shop/%d.zip", n))
		}
	}
}

// sam signs on and looks at the servers in the console.
func sam(d *day) {
	if d.weekend() {
		return
	}
	p := person{name: "sam", set: "Developer", console: true}
	at := d.at(9, 12)
	w := d.work(at.Add(5*time.Second), p.login(d, at, d.address(office)), time.Second)
	w.do(homePage...)
	w.do(ec2Page[:12]...)
}

// shop is the application: it reads its password and its settings.
func shop(d *day) {
	for _, hour := range []int{9, 14} {
		w := d.work(d.at(hour, 11), d.as(taskRole("shop"), "shop", d.clock(hour, 0)).from(d.address(natProd)).using(javaAgent), 5*time.Second)
		w.param("/prod/shop/db_password", true)
		w.get(assets, "shop/config.json")
	}
}

// nightlyReport reads the customers' data once a night.
func nightlyReport(d *day) {
	w := d.work(d.at(2, 30), d.as(role{name: "nightly-report"}, "report", d.clock(2, 29)).from(d.address(natBatch)).using(boto3Agent), time.Second)
	w.list(exports, "daily/")
	for n := range 12 {
		w.get(exports, exportKey(n))
	}
}

var smallAttacks = []attack{{
	name: "stolen-key", day: 16, principal: byUser("alex"),
	techniques: []string{"T1078.004", "T1580", "T1619", "T1530", "T1552", "T1552.005"},
	rules: []string{
		"first-seen-source-ip", "outside-known-networks", "user-agent-mismatch", "getcalleridentity-first-seen", "canonical-recon-set",
		"new-services-burst", "listbuckets-first-seen", "bucket-sweep", "sensitive-prefix-listing", "list-then-get",
		"getobject-rate-over-baseline", "getobject-outside-networks", "userdata-read", "userdata-bulk", "ssm-sensitive-name", "ssm-path-dump",
		"multi-store-secret-sweep",
	},
	story: "Alex's key leaks. From a rented server a script asks who it is, looks around, goes through the buckets, downloads the customers' " +
		"data, and then collects passwords from user data and parameters.",
	live: stolenKey,
}}

func stolenKey(d *day) {
	w := d.work(d.at(23, 5), d.user("alex").from(attackerA+"77").using(requestsAgent), 6*time.Second)
	w.do(canonicalRecon...)

	w.pause(3 * time.Minute)
	w.listBuckets()
	for _, b := range []string{lake, marts, assets, uploads, artifacts, exports} {
		w.list(b, "")
	}
	w.list(backups, "backups/")
	w.list(finance, "finance/")

	w.pause(3 * time.Minute)
	w.pace = 350 * time.Millisecond
	for n := range 250 {
		w.get(exports, exportKey(n))
	}

	w.pause(3 * time.Minute)
	w.pace = 2 * time.Second
	for _, id := range d.instances(12) {
		w.userData(id)
	}
	w.call("ssm:GetParametersByPath", fields{"path", "/", "recursive", true, "withDecryption", true})
	for _, name := range []string{"/prod/shop/db_password", "/prod/payments/api_key", "/prod/auth/jwt-signing-key"} {
		w.param(name, true)
	}
}

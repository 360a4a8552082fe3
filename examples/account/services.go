package account

import (
	"fmt"
	"strings"
	"time"
)

// services is AWS at work in the account, on its own behalf and through
// service-linked roles: the bulk of any real trail.
var services = []actor{
	{"aws/cloudtrail", cloudtrail},
	{"aws/delivery-logs", deliveryLogs},
	{"aws/load-balancer-logs", loadBalancerLogs},
	{"aws/assume-role", servicesAssumeRoles},
	{"aws/kms", servicesUseKeys},
	{"aws/events", serviceEvents},
	{"aws/config", configRecorder},
	{"aws/linked-roles", linkedRoles},
}

// cloudtrail delivers this very log, every five minutes.
func cloudtrail(d *day) {
	for i := range 288 {
		at := d.clock(0, 5*i).Add(d.upTo(time.Minute))
		w := d.work(at, service("cloudtrail"), time.Second)
		w.posture("GetBucketAcl", trailLogs)
		w.write(&call{
			api: "kms:GenerateDataKey",
			request: fields{
				"keyId", d.keyARN("trail"), "keySpec", "AES_256",
				"encryptionContext", fields{"aws:cloudtrail:arn", "arn:aws:cloudtrail:" + home + ":" + accountID + ":trail/all"},
			},
			resources: []fields{{"accountId", accountID, "type", "AWS::KMS::Key", "ARN", d.keyARN("trail")}},
			shared:    true,
		})
		w.put(trailLogs, trailKey(accountID, home, at, fmt.Sprintf("%016x", d.Uint64())))
	}
}

// deliveryLogs probes buckets it may not write to: nearly all denied calls of
// a real trail are of this kind.
func deliveryLogs(d *day) {
	for i := range 280 {
		w := d.work(d.clock(0, 5*i).Add(d.upTo(4*time.Minute)), service("delivery.logs"), time.Second)
		w.denyObject("PutObject", otherLogs, "AWSLogs/"+accountID+"/vpcflowlogs/"+home+d.start.Format("/2006/01/02/")+d.letters(fmt.Sprint(d.n, i), 12)+".log.gz")
		if i%4 == 0 {
			w.denyObject("HeadBucket", otherLogs, "")
		}
	}
}

func loadBalancerLogs(d *day) {
	for i := range 288 {
		w := d.work(d.clock(0, 5*i).Add(d.upTo(time.Minute)), service("logdelivery.elasticloadbalancing"), time.Second)
		w.put(otherLogs, "alb"+d.start.Format("/2006/01/02/")+d.letters(fmt.Sprint("alb", d.n, i), 10)+".log.gz")
	}
}

// servicesAssumeRoles is how functions, tasks and instances get credentials.
func servicesAssumeRoles(d *day) {
	hosts := []struct {
		host  string
		names []string
		role  func(string) role
	}{
		{"lambda", functions, functionRole},
		{"ecs-tasks", tasks, taskRole},
		{"ec2", fleets, instanceRole},
	}
	for i := range 700 {
		h := hosts[min(d.IntN(5), 2)]
		name := pick(d.Rand, h.names)
		w := d.work(d.start.Add(d.upTo(24*time.Hour)), service(h.host), time.Second)
		w.write(&call{
			api:       "sts:AssumeRole",
			request:   fields{"roleArn", h.role(name).arn(), "roleSessionName", fmt.Sprint(name, "-", i)},
			response:  fields{"credentials", fields{"accessKeyId", d.accessKey("ASIA", fmt.Sprint(name, d.n, i)), "sessionToken", "IQoJb3JpZ2luX2VjEXAMPLE"}},
			resources: []fields{{"accountId", accountID, "type", "AWS::IAM::Role", "ARN", h.role(name).arn()}},
			shared:    true,
		})
	}
}

func servicesUseKeys(d *day) {
	for range 800 {
		name := pick(d.Rand, []string{"dynamodb", "rds", "elasticache", "logs." + home})
		w := d.work(d.start.Add(d.upTo(24*time.Hour)), service(name), time.Second)
		w.write(&call{
			api: "kms:Decrypt", request: fields{"encryptionAlgorithm", "SYMMETRIC_DEFAULT", "encryptionContext", fields{"aws:" + strings.TrimSuffix(name, "."+home) + ":accountId", accountID}},
			resources: []fields{{"accountId", accountID, "type", "AWS::KMS::Key", "ARN", d.keyARN(name)}},
			shared:    true,
		})
	}
}

// serviceEvents are not calls, and name no type of identity.
func serviceEvents(d *day) {
	for i, api := range []string{"secretsmanager:RotationStarted", "secretsmanager:RotationSucceeded", "kms:RotateKey", "ecs:submitStateChange", "elasticfilesystem:NewClientConnection"} {
		host := strings.Split(api, ":")[0] + ".amazonaws.com"
		for range 3 {
			s := session{ip: host, agent: host, aws: true, identity: raw(text(fields{"accountId", accountID, "invokedBy", host}))}
			d.work(d.at(1+4*i, 0), s, time.Second).write(&call{api: api, eventType: "AwsServiceEvent"})
		}
	}
}

// configRecorder looks at everything all day through its service-linked role.
func configRecorder(d *day) {
	recorder := serviceLinked("config", "AWSServiceRoleForConfig")
	for hour := range 24 {
		s := d.as(recorder, "AWSConfig-Describe", d.clock(hour, 0)).from("config.amazonaws.com").using("config.amazonaws.com")
		s.aws = true
		w := d.work(d.at(hour, 10), s, 2*time.Second)
		for range 14 {
			w.do(pick(d.Rand, catalogue))
		}
		for range 8 {
			w.posture(pick(d.Rand, postureReads), pick(d.Rand, buckets))
		}
		w.function("GetFunctionConfiguration20150331v2", pick(d.Rand, functions))
	}
}

// linkedRoles are other services doing their duty through such roles.
func linkedRoles(d *day) {
	duties := []struct{ host, role, session, api string }{
		{"autoscaling", "AWSServiceRoleForAutoScaling", "AutoScaling", "ec2:DescribeInstances"},
		{"autoscaling", "AWSServiceRoleForAutoScaling", "AutoScaling", "elasticloadbalancing:DescribeTargetHealth"},
		{"ecs", "AWSServiceRoleForECS", "ecs-service-scheduler", "elasticloadbalancing:DescribeTargetHealth"},
		{"resource-explorer-2", "AWSServiceRoleForResourceExplorer", "ResourceExplorer", "ec2:DescribeVolumes"},
		{"resource-explorer-2", "AWSServiceRoleForResourceExplorer", "ResourceExplorer", "rds:DescribeDBInstances"},
		{"trustedadvisor", "AWSServiceRoleForTrustedAdvisor", "TrustedAdvisor", "ec2:DescribeReservedInstances"},
		{"support", "AWSServiceRoleForSupport", "AWSSupport", "cloudtrail:DescribeTrails"},
	}
	for range 260 {
		duty := pick(d.Rand, duties)
		host := duty.host + ".amazonaws.com"
		at := d.start.Add(d.upTo(24 * time.Hour))
		s := d.as(serviceLinked(duty.host, duty.role), duty.session, at).from(host).using(host)
		s.aws = true
		d.work(at, s, time.Second).do(duty.api)
	}
}

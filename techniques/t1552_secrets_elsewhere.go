package techniques

import (
	"maps"
	"slices"

	"github.com/cloudtell/cloudtell/baseline"
	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/event"
)

// disclosures says, for operations whose replies often hold secrets though it is
// not their purpose, what they disclose. Those with rules of their own are not
// among them, nor are some that consoles and tools make all the time, such as
// cloudformation:DescribeStacks.
var disclosures = map[string]string{
	"amplify:GetApp":                                    "the environment variables of an application",
	"amplify:GetBranch":                                 "the environment variables of a branch",
	"amplify:ListApps":                                  "the environment variables of all applications",
	"apigateway:GetApiKey":                              "an API key",
	"apigateway:GetApiKeys":                             "API keys",
	"apprunner:DescribeService":                         "the environment variables of a service",
	"appsync:ListApiKeys":                               "API keys",
	"autoscaling:DescribeLaunchConfigurations":          "the user data of launch configurations",
	"batch:DescribeJobDefinitions":                      "the environment variables of jobs",
	"cloudformation:GetTemplate":                        "the template of a stack",
	"codebuild:BatchGetBuilds":                          "the environment variables of builds",
	"codebuild:BatchGetProjects":                        "the environment variables of build projects",
	"datapipeline:GetPipelineDefinition":                "the definition of a pipeline, with the passwords of its databases",
	"ec2:GetConsoleOutput":                              "what an instance printed when it booted",
	"ec2:GetConsoleScreenshot":                          "the screen of an instance",
	"ecs:DescribeTaskDefinition":                        "the environment variables of a task",
	"elasticbeanstalk:DescribeConfigurationSettings":    "the environment variables of an application",
	"glue:GetConnection":                                "the password of a connection",
	"glue:GetConnections":                               "the passwords of connections",
	"lightsail:DownloadDefaultKeyPair":                  "the private key to instances",
	"lightsail:GetInstanceAccessDetails":                "the password or key to an instance",
	"lightsail:GetRelationalDatabaseMasterUserPassword": "the password of a database",
	"rds:DownloadCompleteDBLogFile":                     "the log of a database, with the statements run",
	"rds:DownloadDBLogFilePortion":                      "the log of a database, with the statements run",
	"redshift:GetClusterCredentials":                    "a password for a cluster",
	"redshift:GetClusterCredentialsWithIAM":             "a password for a cluster",
	"redshift-serverless:GetCredentials":                "a password for a data warehouse",
	"sagemaker:DescribeNotebookInstanceLifecycleConfig": "the scripts that set up notebooks",
	"sagemaker:DescribeTrainingJob":                     "the environment variables and parameters of a training job",
	"ssm:GetCommandInvocation":                          "what a command printed on an instance",
	"states:DescribeStateMachine":                       "the definition of a state machine",
}

// disclosing are the operations of disclosures.
var disclosing = slices.Sorted(maps.Keys(disclosures))

// disclosed remembers which of these operations a principal uses.
var disclosed = baseline.FirstSeen("disclosing operation", func(e *event.Event) string {
	if !direct(e) || !e.Succeeded() || hidden(e) {
		return ""
	}
	return api(e)
}, &baseline.FirstSeenOptions{Cap: 32}).On(disclosing...)

// hidden reports whether a call asks for a reply without the secret in it.
func hidden(e *event.Event) bool {
	switch e.Service() {
	case "glue":
		return e.Request.At("hidePassword").IsTrue()
	case "apigateway":
		return !e.Request.At("includeValue").IsTrue() && !e.Request.At("includeValues").IsTrue()
	}
	return false
}

func secretsElsewhere(c *Config) detect.Detector {
	return detect.New(detect.Info{
		Name: "secrets-elsewhere",
		Doc: "A principal uses an operation for the first time whose replies often hold secrets though it is not their purpose: " +
			"environment variables of tasks, builds and jobs, templates, the output of instances, logs of databases, passwords of connections. " +
			"What is new is judged by role and operation. Weighs more from a network that is new to the principal, too. Denied calls count too.",
		Technique: "T1552",
		Tactic:    detect.CredentialAccess,
		Severity:  detect.Low,
		Events:    disclosing,
		Uses:      []baseline.Feature{disclosed, networks},
		Needs:     detect.ManagementReads,
		Learn:     learn,
		Cold:      detect.Informational,
		Quiet:     novelty,
		Benign: []string{
			"A pipeline deploys a new kind of resource, and reads its definition from now on.",
			"Someone looks for the cause of a failure.",
		},
		Respond: []string{
			"Find out whether the principal's task needs the operation; if unexplained, revoke the principal's sessions and keys.",
			"Look into what the call shows, and rotate every secret in it.",
		},
	}, func(p *detect.Pass) {
		e := p.Event
		if !p.Require("the call succeeded or was denied", attempted(e)) ||
			p.Excuse("the reply was to be without the secrets", e.Succeeded() && hidden(e)) {
			return
		}
		operation := api(e)
		uses := noveltyOf(disclosed.In(p), operation)
		if p.Excuse("the principal uses the operation regularly", !uses.New) {
			return
		}
		severity := person(e, surprise(uses, detect.Low))
		if p.Excuse("the principal uses new ones every day", severity == detect.Silent) {
			return
		}
		if newNetwork(c, p) {
			severity = raised(severity, 1)
		}
		p.ReportWith(severity, subjectOf(disclosed.Age(p), operation), func() (string, []detect.Evidence) {
			title := operation + " used " + firstTime(uses)
			if e.Denied() {
				title = operation + " tried, and denied"
			}
			return title, placed(c, p, detect.Evidence{
				Name:     "operation whose replies often hold secrets",
				Observed: operation + ", which shows " + disclosures[operation],
				Expected: habit(uses),
			})
		})
	})
}

package event_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/event"
)

func TestToolOf(t *testing.T) {
	for agent, want := range map[string]event.Tool{
		"":  event.ToolNone,
		"-": event.ToolNone,
		"aws-cli/1.32.1 Python/3.11.6 Linux/6.1 botocore/1.34.1":                           event.ToolCLI,
		"[aws-cli/2.31.1 md/awscrt#0.27.6 ua/2.1 lang/python#3.13.7]":                      event.ToolCLI,
		"aws-cli/2.9.19 Python/3.11.2 Linux/6.6.9-amd64 source/x86_64.kali.2023":           event.ToolScanner,
		"Boto3/1.34.1 md/Botocore#1.34.1 ua/2.0 os/linux#6.1 lang/python#3.11":             event.ToolBoto3,
		"Boto3/1.34.1 Python/3.9 Linux/5.10 exec-env/AWS_Lambda_python3.9 Botocore/1.34.1": event.ToolBoto3,
		"Botocore/1.31 Python/3.9":                                event.ToolBoto3,
		"python-requests/2.31.0":                                  event.ToolRequests,
		"Python-urllib/3.9":                                       event.ToolRequests,
		"aws-sdk-go/1.44.0 (go1.21; linux; amd64)":                event.ToolGo,
		"aws-sdk-go-v2/1.36.3 ua/2.1 os/linux lang/go#1.23.8":     event.ToolGo,
		"aws-sdk-go/1.44 (go1.17) amazon-ssm-agent/":              event.ToolGo,
		"aws-sdk-java/1.12.1 Linux/5.10 OpenJDK_64-Bit_Server_VM": event.ToolJava,
		"aws-sdk-js/3.400.0 os/linux lang/js md/nodejs#18":        event.ToolJS,
		"aws-sdk-nodejs/2.1400.0 linux/v18":                       event.ToolJS,
		"aws-sdk-dotnet-coreclr/3.7.1":                            event.ToolDotNet,
		"aws-sdk-php/3.200 GuzzleHttp/7":                          event.ToolPHP,
		"aws-sdk-ruby3/3.180.0 ruby/3.2":                          event.ToolRuby,
		"aws-sdk-rust/0.55.3 os/linux":                            event.ToolRust,
		"rusoto/0.48.0 rust/1.60":                                 event.ToolRust,
		"aws-sdk-cpp/1.11.1 ua/2.0":                               event.ToolCPP,
		"APN/1.0 HashiCorp/1.0 Terraform/1.11.0 (+https://www.terraform.io) terraform-provider-aws/5.98.0 aws-sdk-go-v2/1.36.3": event.ToolTerraform,
		"APN/1.0 OpenTofu/1.8 aws-sdk-go-v2/1.36.3":                                                         event.ToolTerraform,
		"APN/1.0 Pulumi/1.0 PulumiAWS/6.0 aws-sdk-go-v2/1.36.3":                                             event.ToolTerraform,
		"AWSPowerShell.Common/4.1.1 .NET_Core/6.0 aws-sdk-dotnet-coreclr/3.7":                               event.ToolPowerShell,
		"Mozilla/5.0 (Windows NT; Windows NT 10.0) WindowsPowerShell/5.1":                                   event.ToolPowerShell,
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0 Safari/537.36": event.ToolBrowser,
		"console.amazonaws.com": event.ToolConsole,
		"signin.amazonaws.com":  event.ToolConsole,
		"AWSConsole":            event.ToolConsole,
		"[S3Console/0.4, aws-internal/3 aws-sdk-java/1.11.1]":     event.ToolConsole,
		"aws-internal/3 aws-sdk-java/1.12.1 Linux/5.4":            event.ToolConsole,
		"Jersey/${project.version} (HttpUrlConnection 1.8.0_432)": event.ToolConsole,
		"AWS Internal":                                event.ToolService,
		"Coral/Netty4":                                event.ToolService,
		"ec2.amazonaws.com":                           event.ToolService,
		"autoscaling.amazonaws.com":                   event.ToolService,
		"evil.amazonaws.com/1.0":                      event.ToolOther,
		"awslambda-worker/1.0 rusoto/0.48":            event.ToolService,
		"curl/8.1.2":                                  event.ToolCurl,
		"Wget/1.21":                                   event.ToolCurl,
		"S3 Browser/11.6.7 (https://s3browser.com)":   event.ToolS3Client,
		"Cyberduck/8.5.0.39121 (Mac OS X/13.2)":       event.ToolS3Client,
		"rclone/v1.60.1":                              event.ToolS3Client,
		"WinSCP/6.1.2 neon/0.32.5":                    event.ToolS3Client,
		"MEGA/1.0":                                    event.ToolS3Client,
		"omega/1.0":                                   event.ToolOther,
		"TruffleHog":                                  event.ToolScanner,
		"Boto3/1.26 pacu/1.5 Botocore/1.29":           event.ToolScanner,
		"kalibrate/1.0":                               event.ToolOther,
		"stratus-red-team_ae66c4b1":                   event.ToolOther,
		strings.Repeat("x ", 600) + "aws-cli/2.0":     event.ToolOther, // beyond the first KiB
		strings.Repeat("aws-clix", 200) + " aws-cli/": event.ToolOther,
	} {
		assert.Equal(t, want, event.ToolOf(agent), agent)
	}
}

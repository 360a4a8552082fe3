package event

import (
	"bytes"
	"strings"
)

// Tool is a family of client software, as a user agent claims it. Families
// are compared rather than user agents because versions change all the time.
type Tool string

// The tool families that [Event.Tool] tells apart.
const (
	ToolNone       Tool = ""                // no user agent
	ToolCLI        Tool = "aws-cli"         // the AWS command line interface
	ToolBoto3      Tool = "boto3"           // Boto3 and botocore, other than in the CLI
	ToolRequests   Tool = "python-requests" // Python HTTP libraries used directly
	ToolGo         Tool = "aws-sdk-go"
	ToolJava       Tool = "aws-sdk-java"
	ToolJS         Tool = "aws-sdk-js"
	ToolDotNet     Tool = "aws-sdk-dotnet"
	ToolPHP        Tool = "aws-sdk-php"
	ToolRuby       Tool = "aws-sdk-ruby"
	ToolRust       Tool = "aws-sdk-rust"
	ToolCPP        Tool = "aws-sdk-cpp"
	ToolTerraform  Tool = "terraform" // Terraform, OpenTofu and Pulumi's bridged providers
	ToolPowerShell Tool = "powershell"
	ToolConsole    Tool = "console" // the management console and its back ends
	ToolBrowser    Tool = "browser"
	ToolCurl       Tool = "curl"      // curl and wget
	ToolS3Client   Tool = "s3-client" // S3 Browser, Cyberduck, WinSCP, rclone, MEGA
	ToolScanner    Tool = "scanner"   // names itself a security or attack tool: TruffleHog, pacu, kali
	ToolService    Tool = "aws-service"
	ToolOther      Tool = "other"
)

// toolMarks say which text in a user agent gives which tool away. The first
// that is found decides, so the special stands before the general: the CLI
// also names botocore, Terraform the Go SDK, a console back end the Java SDK.
// Marks are in lower case and match whole words only.
var toolMarks = []struct {
	mark string
	tool Tool
}{
	{"trufflehog", ToolScanner},
	{"kali", ToolScanner},
	{"parrot", ToolScanner},
	{"pentoo", ToolScanner},
	{"blackarch", ToolScanner},
	{"pacu", ToolScanner},
	{"cloudfox", ToolScanner},
	{"scoutsuite", ToolScanner},
	{"prowler", ToolScanner},
	{"s3 browser", ToolS3Client},
	{"cyberduck", ToolS3Client},
	{"mountain duck", ToolS3Client},
	{"winscp", ToolS3Client},
	{"rclone", ToolS3Client},
	{"mega", ToolS3Client},
	{"megasync", ToolS3Client},
	{"megacmd", ToolS3Client},
	{"s3cmd", ToolS3Client},
	{"s5cmd", ToolS3Client},
	{"terraform", ToolTerraform},
	{"opentofu", ToolTerraform},
	{"pulumi", ToolTerraform},
	{"awspowershell", ToolPowerShell},
	{"windowspowershell", ToolPowerShell},
	{"powershell", ToolPowerShell},
	{"aws-cli", ToolCLI},
	{"s3console", ToolConsole},
	{"awsconsole", ToolConsole},
	{"console.amazonaws.com", ToolConsole},
	{"signin.amazonaws.com", ToolConsole},
	{"aws-internal", ToolConsole},
	{"jersey/${project.version}", ToolConsole}, // the access portal of IAM Identity Center
	{"aws internal", ToolService},
	{"coral", ToolService},
	{"awslambda-worker", ToolService},
	{"boto3", ToolBoto3},
	{"botocore", ToolBoto3},
	{"aiobotocore", ToolBoto3},
	{"boto", ToolBoto3},
	{"aws-sdk-go", ToolGo},
	{"aws-sdk-go-v2", ToolGo},
	{"aws-sdk-java", ToolJava},
	{"aws-sdk-js", ToolJS},
	{"aws-sdk-nodejs", ToolJS},
	{"aws-sdk-dotnet", ToolDotNet},
	{"aws-sdk-php", ToolPHP},
	{"aws-sdk-ruby", ToolRuby},
	{"aws-sdk-rust", ToolRust},
	{"rusoto", ToolRust},
	{"aws-sdk-cpp", ToolCPP},
	{"python-requests", ToolRequests},
	{"python-urllib", ToolRequests},
	{"python-httpx", ToolRequests},
	{"aiohttp", ToolRequests},
	{"curl", ToolCurl},
	{"wget", ToolCurl},
	{"mozilla", ToolBrowser},
	{"opera", ToolBrowser},
}

// maxAgent is how much of a user agent ToolOf looks at, in bytes. Real ones
// are shorter, and hostile ones may be as long as a record.
const maxAgent = 1024

// ToolOf returns the tool family that a user agent names, with or without the
// square brackets that S3 puts around it. Letter case does not matter. It
// looks at the first KiB and does not allocate.
func ToolOf(userAgent string) Tool {
	agent := strings.TrimSuffix(strings.TrimPrefix(userAgent, "["), "]")
	if agent == "" || agent == "-" {
		return ToolNone
	}
	var lower [maxAgent]byte
	n := copy(lower[:], agent)
	for i, c := range lower[:n] {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + ('a' - 'A')
		}
	}
	for i := range toolMarks {
		if hasWord(lower[:n], toolMarks[i].mark) {
			return toolMarks[i].tool
		}
	}
	if isServiceHost(agent) {
		return ToolService
	}
	return ToolOther
}

// hasWord reports whether a word stands in text with no letter beside it.
func hasWord(text []byte, word string) bool {
	for start := 0; ; start++ {
		i := bytes.Index(text[start:], []byte(word))
		if i < 0 {
			return false
		}
		start += i
		end := start + len(word)
		if (start == 0 || !isLower(text[start-1])) && (end == len(text) || !isLower(text[end])) {
			return true
		}
	}
}

func isLower(c byte) bool { return 'a' <= c && c <= 'z' }

// isServiceHost reports whether an agent or source address is the host name of
// an AWS service, such as "ec2.amazonaws.com".
func isServiceHost(s string) bool {
	return strings.HasSuffix(s, ".amazonaws.com") && !strings.ContainsAny(s, " /")
}

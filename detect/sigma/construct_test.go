package sigma_test

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/cloudtell/cloudtell/detect/sigma"
	"github.com/cloudtell/cloudtell/event/eventtest"
)

type object = map[string]any

type records = []eventtest.Record

// Every construct of Sigma that is supported, with events on which a rule with
// it fires, and events on which it does not.
func TestConstructs(t *testing.T) {
	createKey := eventtest.Record{Call: "iam:CreateAccessKey"}
	agent := func(s string) eventtest.Record { return eventtest.Record{Call: "iam:ListUsers", Agent: s} }
	request := func(o object) eventtest.Record { return eventtest.Record{Call: "x:Y", Request: o} }
	n := func(v any) eventtest.Record { return request(object{"n": v}) }
	more := func(o object) eventtest.Record { return eventtest.Record{Call: "x:Y", More: o} }
	tests := []struct {
		name, detection string
		fires, silent   records
	}{
		// Values.
		{"equality, of every line", `
s:
    eventSource: iam.amazonaws.com
    eventName: CreateAccessKey
condition: s`, records{createKey}, records{{Call: "iam:CreateUser"}, {Call: "sts:CreateAccessKey"}}},
		{"equality in any case", `
s: {eventName: createACCESSkey}
condition: s`, records{createKey}, records{{Call: "iam:CreateAccessKeys"}}},
		{"cased", `
s: {userAgent|cased: Tool}
condition: s`, records{agent("Tool")}, records{agent("tool")}},
		{"contains, cased", `
s: {userAgent|contains|cased: 'b?O'}
condition: s`, records{agent("abcOd")}, records{agent("abcod")}},
		{"folding beyond ASCII", `
s: {userAgent|contains: straße ä}
condition: s`, records{agent("xSTRAßE Äx")}, records{agent("strasse a")}},
		{"a list of values", `
s: {eventName: [CreateUser, CreateAccessKey]}
condition: s`, records{createKey, {Call: "iam:CreateUser"}}, records{{Call: "iam:DeleteUser"}}},
		{"wildcards", `
s: {userIdentity.arn: 'arn:*:user/?l*e'}
condition: s`, records{createKey}, records{{Call: "x:Y", By: eventtest.User(eventtest.Account, "le")}}},
		{"escaped wildcards", `
s: {userAgent: 'a\*b\?c\d\\e'}
condition: s`, records{agent(`a*b?c\d\e`)}, records{agent(`axbyc\d\e`), agent(`a*b?c\d\\e`)}},
		{"a backslash before a wildcard", `
s: {userAgent: 'dir\\*'}
condition: s`, records{agent(`dir\x`), agent(`dir\`)}, records{agent(`dir*`), agent(`dir`)}},
		{"a backslash and an escaped wildcard", `
s: {userAgent: 'dir\\\*'}
condition: s`, records{agent(`dir\*`)}, records{agent(`dir\x`), agent(`dir*`)}},
		{"several backslashes", `
s: {userAgent: ['a\\\\b', 'c\\\d']}
condition: s`, records{agent(`a\\b`), agent(`c\\d`)}, records{agent(`a\b`), agent(`c\d`)}},
		{"* is any text that is there", `
s: {errorCode|contains: '*'}
condition: s`, records{{Call: "x:Y", Error: "AccessDenied"}}, records{{Call: "x:Y"}}},
		{"* is any element of a list that is there", `
s: {requestParameters.n|contains: '*'}
condition: s`, records{n([]any{"a"}), n([]any{nil, 7}), n("a")}, records{n([]any{}), n([]any{nil}), n(nil), {Call: "x:Y"}}},
		{"a number", `
s: {requestParameters.n: 3389}
condition: s`, records{n(3389), n(3389.0), n("3389")}, records{n(338), n("3389x"), n(nil)}},
		{"a number with zeros in front", `
s: {requestParameters.n: 012345678901}
condition: s`, records{n("012345678901")}, records{n("012345678902")}},
		{"a number beyond the precision of floats", `
s: {requestParameters.n: 9007199254740993}
condition: s`, records{n("9007199254740993")}, records{n("9007199254740992")}},
		{"a text that is a number", `
s: {requestParameters.n: '22'}
condition: s`, records{n("22"), n(22)}, records{n("22.0"), n(2)}},
		{"a boolean", `
s: {requestParameters.n: true}
condition: s`, records{n(true), n("true"), n("True")}, records{n(false), n("yes")}},
		{"a boolean as text", `
s: {requestParameters.n: 'false'}
condition: s`, records{n(false), n("false")}, records{n(true), n(nil)}},
		{"null", `
s: {requestParameters.n: null}
condition: s`, records{n(nil), request(object{"m": 1}), {Call: "x:Y"}}, records{n(""), n(0), n(object{})}},
		{"the empty text", `
s: {requestParameters.n: ''}
condition: s`, records{n("")}, records{n(nil), {Call: "x:Y"}, n(" ")}},
		{"null or the empty text", `
s: {requestParameters.n: [null, '']}
condition: s`, records{n(""), n(nil), {Call: "x:Y"}}, records{n("a")}},

		// Modifiers.
		{"contains", `
s: {userAgent|contains: [hack, kali]}
condition: s`, records{agent("x Kali y"), agent("hack")}, records{agent("aws-cli")}},
		{"startswith", `
s: {userAgent|startswith: 'boto'}
condition: s`, records{agent("Boto3/1"), agent("boto")}, records{agent("aioboto"), agent("bot")}},
		{"endswith", `
s: {userAgent|endswith: '.exe'}
condition: s`, records{agent("A.EXE"), agent(".exe")}, records{agent(".exe1"), agent("exe")}},
		{"contains, with wildcards in it", `
s: {userAgent|contains: 'a?c*f'}
condition: s`, records{agent("xabc--fx")}, records{agent("xac--fx"), agent("fabc")}},
		{"contains all", `
s: {userAgent|contains|all: [one, two]}
condition: s`, records{agent("two one")}, records{agent("one"), agent("two")}},
		{"re", `
s: {userIdentity.arn|re: 'user/a.{3}e$'}
condition: s`, records{createKey}, records{{Call: "x:Y", By: eventtest.User(eventtest.Account, "Alice")}}},
		{"re with flags", `
s: {userAgent|re|i|m|s: '^second.third$'}
condition: s`, records{agent("first\nSECOND\nTHIRD\nfourth")}, records{agent("first second third")}},
		{"cidr", `
s: {sourceIPAddress|cidr: [10.0.0.0/8, '2001:db8::/32', 192.0.2.7]}
condition: s`, records{{Call: "x:Y", From: "10.1.2.3"}, {Call: "x:Y", From: "2001:db8::1"}, {Call: "x:Y", From: "192.0.2.7"}},
			records{{Call: "x:Y", From: "11.1.2.3"}, {Call: "x:Y", From: "AWS Internal"}, {Call: "x:Y", From: "ec2.amazonaws.com"}}},
		{"cidr of another field than the source", `
s: {requestParameters.n|cidr: 10.0.0.0/8}
condition: s`, records{n("10.255.0.1"), n("::ffff:10.0.0.1")}, records{n("1.2.3"), n("10.0.0.0/8"), n("ab"), n("")}},
		{"exists", `
s: {errorCode|exists: true}
condition: s`, records{{Call: "x:Y", Error: "E"}, more(object{"errorCode": ""})}, records{{Call: "x:Y"}}},
		{"exists, even if null or a list", `
s: {requestParameters.n|exists: true}
condition: s`, records{n(nil), n([]any{}), n([]any{1}), n(object{})}, records{{Call: "x:Y"}, request(object{"m": 1})}},
		{"exists not", `
s: {requestParameters.n|exists: false}
condition: s`, records{{Call: "x:Y"}, request(object{"m": 1})}, records{n(nil), n("a"), n("")}},
		{"fieldref", `
s: {userIdentity.userName|fieldref: requestParameters.userName}
condition: s`, records{request(object{"userName": "ALICE"})}, records{request(object{"userName": "bob"}), {Call: "x:Y"}}},
		{"fieldref with a part of the text", `
s: {userIdentity.arn|fieldref|endswith: requestParameters.userName}
condition: s`, records{request(object{"userName": "alice"})}, records{request(object{"userName": "ali"}), request(object{"userName": ""}), {Call: "x:Y"}}},
		{"fieldref, cased", `
s: {userIdentity.userName|fieldref|cased: requestParameters.userName}
condition: s`, records{request(object{"userName": "alice"})}, records{request(object{"userName": "ALICE"})}},
		{"fieldref, not equal", `
s: {userIdentity.userName|fieldref|neq: requestParameters.userName}
condition: s`, records{request(object{"userName": "bob"}), {Call: "x:Y"}}, records{request(object{"userName": "alice"})}},
		{"neq", `
s: {awsRegion|neq: [us-east-1, eu-west-1]}
condition: s`, records{more(object{"awsRegion": "ap-south-1"})}, records{{Call: "x:Y"}, more(object{"awsRegion": "EU-WEST-1"})}},
		{"neq null", `
s: {requestParameters.n|neq: null}
condition: s`, records{n("a"), n("")}, records{n(nil), {Call: "x:Y"}}},
		{"neq of a number", `
s: {requestParameters.n|neq: 1}
condition: s`, records{n(2), n("b")}, records{n(1), n("1")}},
		{"lt", `
s: {requestParameters.n|lt: 10}
condition: s`, records{n(9.5), n("-3")}, records{n(10), n("x"), n(nil), n("")}},
		{"lte", `
s: {requestParameters.n|lte: 10}
condition: s`, records{n(10), n(1e1)}, records{n(10.5)}},
		{"gt", `
s: {requestParameters.n|gt: 1.5}
condition: s`, records{n(2), n("1e3")}, records{n(1.5), n("1e"), n("."), n("1.")}},
		{"gte", `
s: {requestParameters.n|gte: -1}
condition: s`, records{n(-1), n(0)}, records{n(-2), n("-")}},
		{"parts of a time", `
s: {eventTime|hour|gte: 22, eventTime|minute: [0, 30], eventTime|day: 5, eventTime|month: 1, eventTime|year: 2026, eventTime|week: 2}
condition: s`, records{{Call: "x:Y", At: eventtest.Start.Add(13 * time.Hour)}}, records{{Call: "x:Y"}, {Call: "x:Y", At: eventtest.Start.Add(13*time.Hour + time.Minute)}}},
		{"a part of what is no time", `
s: {requestParameters.n|year: 2026}
condition: s`, records{n("2026-01-05T00:00:00Z"), n("2026-12-31T23:30:00-00:15")}, records{n("2026"), n(2026), n("2026-13-05T00:00:00Z")}},
		{"base64", `
s: {requestParameters.n|base64: 'curl evil'}
condition: s`, records{n(base64.StdEncoding.EncodeToString([]byte("curl evil")))}, records{n("curl evil")}},
		{"base64offset", `
s: {requestParameters.n|base64offset|contains: 'curl evil'}
condition: s`, records{n(base64.StdEncoding.EncodeToString([]byte("curl evil"))), n(base64.StdEncoding.EncodeToString([]byte("a curl evil b"))), n(base64.StdEncoding.EncodeToString([]byte("#curl evil")))},
			records{n(base64.StdEncoding.EncodeToString([]byte("curl devil")))}},
		{"wide", `
s: {requestParameters.n|wide|base64offset|contains: iex}
condition: s`, records{n(base64.StdEncoding.EncodeToString([]byte("x\x00i\x00e\x00x\x00")))}, records{n(base64.StdEncoding.EncodeToString([]byte("xiex")))}},
		{"utf16le, utf16be and utf16", `
a: {requestParameters.n|utf16le|base64: é}
b: {requestParameters.n|utf16be|base64: é}
c: {requestParameters.n|utf16|base64: é}
condition: 1 of them`, records{n(base64.StdEncoding.EncodeToString([]byte("\xe9\x00"))), n(base64.StdEncoding.EncodeToString([]byte("\x00\xe9"))), n(base64.StdEncoding.EncodeToString([]byte("\xff\xfe\xe9\x00")))},
			records{n(base64.StdEncoding.EncodeToString([]byte("é")))}},
		{"windash", `
s: {requestParameters.n|windash|contains: ' -enc '}
condition: s`, records{n("x -enc y"), n("x /ENC y"), n("x \u2013enc y"), n("x \u2015enc y")}, records{n("x enc y"), n("x +enc y")}},
		{"windash leaves dashes within words", `
s: {requestParameters.n|contains|windash: 'a-b -c'}
condition: s`, records{n("a-b /c")}, records{n("a/b -c")}},
		{"expand", `
s: {userIdentity.userName|expand: '%admins%'}
condition: s`, records{createKey, {Call: "x:Y", By: eventtest.User(eventtest.Account, "svc-7")}}, records{{Call: "x:Y", By: eventtest.User(eventtest.Account, "carol")}}},
		{"expand within a text", `
s: {userAgent|expand|contains: 'a%admins%\%b'}
condition: s`, records{agent("xaalice%bx"), agent("asvc-x%b")}, records{agent("aalice"), agent("a%admins%%b")}},
		{"expand to nothing", `
s: {userAgent|expand: '%none%'}
condition: not s`, records{createKey}, nil},
		{"no expand without the modifier", `
s: {userAgent: '%admins%'}
condition: s`, records{agent("%admins%")}, records{agent("alice")}},

		// Fields.
		{"a path through lists", `
s: {requestParameters.containers.command|contains: TOKEN}
condition: s`, records{request(object{"containers": []any{object{"name": "a"}, object{"command": []any{"sh", "echo $TOKEN"}}}})},
			records{request(object{"containers": []any{object{"name": "TOKEN"}}}), request(object{"containers": object{"args": "TOKEN"}})}},
		{"a path with the braces of lists", `
s: {'requestParameters.items{}.cidrIp': 0.0.0.0/0}
condition: s`, records{request(object{"items": []any{object{"cidrIp": "0.0.0.0/0"}}})}, records{request(object{"items": []any{}})}},
		{"all over the values of a list", `
s: {requestParameters.n|all: [a, b]}
condition: s`, records{n([]any{"b", "c", "a"})}, records{n([]any{"a", "c"}), n("a")}},
		{"an object by its text", `
s: {requestParameters|contains|all: ['"s3:GetObject"', '"attribute":"userData"']}
condition: s`, records{request(object{"attribute": "userData", "policyDocument": `{"Action":"s3:GetObject"}`})},
			records{request(object{"attribute": "userData", "policyDocument": `{"Action":"s3:PutObject"}`})}},
		{"a text that holds JSON, and a wildcard", `
s: {requestParameters.policyDocument|contains: '"Action": "*"'}
condition: s`, records{request(object{"policyDocument": `{"Action": "s3:*"}`})}, records{request(object{"policyDocument": `{"Effect": "Allow"}`})}},
		{"an escaped wildcard in JSON", `
s: {requestParameters.policyDocument|contains: '"Action": "\*"'}
condition: s`, records{request(object{"policyDocument": `{"Action": "*"}`})}, records{request(object{"policyDocument": `{"Action": "s3:*"}`})}},
		{"fields deep in the identity", `
s: {userIdentity.sessionContext.sessionIssuer.userName: deploy}
condition: s`, records{{Call: "x:Y", By: eventtest.Role(eventtest.Account, "deploy", "ci")}}, records{createKey}},
		{"other sections of the record", `
s:
    responseElements.ConsoleLogin: Success
    additionalEventData.MFAUsed: 'No'
    resources.ARN|endswith: /x
    tlsDetails.tlsVersion: TLSv1.3
    managementEvent: true
condition: s`, records{{Call: "signin:ConsoleLogin", Response: object{"ConsoleLogin": "Success"}, Additional: object{"MFAUsed": "No"},
			More: object{"resources": []any{object{"ARN": "arn:aws:s3:::a/x"}}, "tlsDetails": object{"tlsVersion": "TLSv1.3"}}}},
			records{{Call: "signin:ConsoleLogin", Response: object{"ConsoleLogin": "Success"}, Additional: object{"MFAUsed": "Yes"}}}},
		{"a field that records do not have", `
s: {eventName: Y}
filter: {type: AssumedRole}
condition: s and not filter`, records{{Call: "x:Y"}}, records{{Call: "x:Z"}}},
		{"the user agent as S3 logs it", `
s: {userAgent|startswith: '[S3Console'}
condition: s`, records{agent("[S3Console/0.4]")}, records{agent("S3Console/0.4")}},
		{"the user agent without what S3 adds", `
s: {userAgent|startswith: S3Console}
condition: s`, records{agent("[S3Console/0.4]"), agent("S3Console/0.4")}, records{agent("[aws-cli]")}},

		// Searches.
		{"a list of maps", `
s:
    - eventName: CreateUser
      userAgent|contains: cli
    - eventName: DeleteUser
condition: s`, records{{Call: "iam:CreateUser"}, {Call: "iam:DeleteUser", Agent: "x"}}, records{{Call: "iam:CreateUser", Agent: "x"}}},
		{"a filter by any of several fields", `
s: {userIdentity.type: IAMUser}
filter_routine:
    - eventName: ListUsers
    - sourceIPAddress: AWS Internal
    - userAgent|contains: 'tool/${version}'
condition: s and not 1 of filter_*`, records{createKey}, records{{Call: "iam:ListUsers"}, {Call: "iam:CreateUser", From: "AWS Internal"}, agent("a tool/${version} b")}},
		{"all of a service but what only reads", `
s: {eventSource: iam.amazonaws.com}
filter: {eventName|startswith: [Get, List]}
condition: s and not filter`, records{createKey}, records{{Call: "iam:GetUser"}, {Call: "iam:ListUsers"}, {Call: "sts:AssumeRole"}}},
		{"a field that is absent or has a value", `
s: {eventName: CreateAccessKey}
state_none: {errorCode: null}
state_done: {errorCode: Success}
condition: s and 1 of state_*`, records{createKey, {Call: "iam:CreateAccessKey", Error: "Success"}}, records{{Call: "iam:CreateAccessKey", Error: "AccessDenied"}, {Call: "iam:CreateUser"}}},
		{"keywords", `
keywords: [evil.example, 'qq*zz']
condition: keywords`, records{agent("EVIL.example"), request(object{"n": "--qq--zz--"})}, records{request(object{"n": "evil_example"})}},
		{"keywords in text with escapes", `
keywords: ['"Action":"s3:']
condition: keywords`, records{request(object{"policy": `{"Action":"s3:Get"}`})}, records{request(object{"policy": "none"})}},
		{"all keywords", `
keywords:
    '|all': [one, two]
condition: keywords`, records{request(object{"n": "two", "m": "one"})}, records{request(object{"n": "two"})}},
		{"a keyword by regular expression", `
keywords:
    '|re': 'i-[0-9a-f]{8}"'
condition: keywords`, records{request(object{"n": "i-0123abcd"})}, records{request(object{"n": "i-0123"})}},
		{"one keyword without a list, a number", `
keyword: 4711
condition: keyword`, records{request(object{"n": 4711})}, records{request(object{"n": 4712})}},
		{"keywords beside maps", `
s:
    - evil.example
    - eventName: DeleteUser
condition: s`, records{agent("evil.example"), {Call: "iam:DeleteUser"}}, records{createKey}},

		// Conditions.
		{"and before or", `
a: {eventName: A}
b: {awsRegion: us-east-1}
c: {awsRegion: nowhere}
condition: a or b and c`, records{{Call: "x:A"}}, records{{Call: "x:B"}}},
		{"not before and", `
a: {eventName: A}
b: {awsRegion: us-east-1}
condition: not a and b`, records{{Call: "x:B"}}, records{{Call: "x:A"}, {Call: "x:B", More: object{"awsRegion": "eu"}}}},
		{"brackets", `
a: {eventName: A}
b: {awsRegion: us-east-1}
c: {awsRegion: nowhere}
condition: (a or b) and not (c or a)`, records{{Call: "x:B"}}, records{{Call: "x:A"}}},
		{"words of the grammar in any case", `
a: {eventName: A}
b: {awsRegion: nowhere}
condition: a AND NOT 1 OF b*`, records{{Call: "x:A"}}, records{{Call: "x:B"}}},
		{"1 of a pattern", `
sel_a: {eventName: A}
sel_b: {eventName: B}
other: {eventName: C}
condition: 1 of sel_*`, records{{Call: "x:A"}, {Call: "x:B"}}, records{{Call: "x:C"}}},
		{"all of a pattern", `
sel_a: {eventName: A}
sel_b: {awsRegion: us-east-1}
other: {eventName: C}
condition: all of sel_*`, records{{Call: "x:A"}}, records{{Call: "x:A", More: object{"awsRegion": "eu"}}}},
		{"a pattern with a wildcard inside", `
sel_a_main: {eventName: A}
sel_b: {eventName: B}
condition: any of sel*main`, records{{Call: "x:A"}}, records{{Call: "x:B"}}},
		{"1 of them", `
a: {eventName: A}
b: {eventName: B}
_c: {eventName: C}
condition: 1 of them`, records{{Call: "x:A"}, {Call: "x:B"}}, records{{Call: "x:C"}}},
		{"all of them", `
a: {eventName: A}
b: {awsRegion: us-east-1}
_c: {eventName: C}
condition: all of them`, records{{Call: "x:A"}}, records{{Call: "x:A", More: object{"awsRegion": "eu"}}}},
		{"not 1 of filters", `
selection: {eventName: A}
filter_main_x: {userAgent: good}
filter_main_y:
    - userIdentity.type: Root
    - sourceIPAddress: AWS Internal
condition: selection and not 1 of filter_main_*`, records{{Call: "x:A"}},
			records{{Call: "x:A", Agent: "good"}, {Call: "x:A", From: "AWS Internal"}, {Call: "x:A", By: eventtest.Root(eventtest.Account)}, {Call: "x:B"}}},
		{"a list of conditions", `
a: {eventName: A}
b: {eventName: B}
condition: [a, b]`, records{{Call: "x:A"}, {Call: "x:B"}}, records{{Call: "x:C"}}},
		{"nothing but a negation", `
s: {eventName|startswith: Get}
condition: not s`, records{{Call: "x:Put"}}, records{{Call: "x:GetIt"}}},
	}
	options := &sigma.Options{Placeholders: map[string][]string{"admins": {"alice", "svc-*"}, "none": {}}}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			detectors := load(t, options, ruleOf(tt.detection))
			for _, r := range tt.fires {
				assert.True(t, fires(t, detectors, r), "fires on %s", r.JSON())
			}
			for _, r := range tt.silent {
				assert.False(t, fires(t, detectors, r), "silent on %s", r.JSON())
			}
		})
	}
}

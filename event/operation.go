package event

import "strings"

// operation returns a call's name without the API version that Lambda
// ("GetFunction20150331v2") and CloudFront ("CreateDistribution2020_05_31")
// append to it.
func operation(source, name string) string {
	switch source {
	case "lambda.amazonaws.com":
		base := name
		if i := strings.LastIndexByte(name, 'v'); i > 0 && i+1 < len(name) && allDigits(name[i+1:]) {
			base = name[:i]
		}
		if n := len(base); n > 8 && allDigits(base[n-8:]) {
			base = base[:n-8]
		}
		return base
	case "cloudfront.amazonaws.com":
		const date = len("2020_05_31")
		if n := len(name) - date; n > 0 && isUnderscoreDate(name[n:]) {
			return strings.TrimSuffix(name[:n], "_")
		}
	}
	return name
}

func isUnderscoreDate(s string) bool {
	return s[4] == '_' && s[7] == '_' && allDigits(s[:4]) && allDigits(s[5:7]) && allDigits(s[8:])
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// readVerbs are the first words of operations that only read.
var readVerbs = map[string]bool{
	"Get": true, "List": true, "Describe": true, "Head": true, "Search": true, "Lookup": true, "Select": true,
	"Query": true, "Scan": true, "View": true, "Simulate": true, "Check": true, "Preview": true, "Estimate": true,
	"Validate": true, "Test": true, "Discover": true, "Detect": true, "Filter": true,
}

// reads reports whether an operation only reads, going by its verb. It decides
// for records without readOnly.
func reads(operation string) bool {
	operation = strings.TrimPrefix(operation, "Batch") // BatchGetImage
	end := 1
	for end < len(operation) && 'a' <= operation[end] && operation[end] <= 'z' {
		end++
	}
	return operation != "" && readVerbs[operation[:end]]
}

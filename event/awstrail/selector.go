package awstrail

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
)

// A sample is a kind of event of which one asks whether a trail logs it.
type sample struct {
	category     string // Management, Data or NetworkActivity
	readOnly     bool
	source, name string // "" for any
	resource     string // type of the resource; "" for any but S3's
}

// An answer says whether events like a sample are logged.
type answer int

const (
	no answer = iota
	some
	yes
)

// A selector is the conditions of an advanced event selector: all must hold.
type selector []types.AdvancedFieldSelector

// The fields of selectors.
const (
	fieldCategory = "eventCategory"
	fieldReadOnly = "readOnly"
	fieldSource   = "eventSource"
	fieldName     = "eventName"
	fieldResource = "resources.type"
	fieldARN      = "resources.ARN"
)

const s3Object = "AWS::S3::Object"

// selectorsOf returns a trail's selectors, basic ones as the advanced ones that
// say the same.
func selectorsOf(out *cloudtrail.GetEventSelectorsOutput) []selector {
	var all []selector
	for _, advanced := range out.AdvancedEventSelectors {
		all = append(all, advanced.FieldSelectors)
	}
	for _, basic := range out.EventSelectors {
		all = append(all, advancedOf(basic)...)
	}
	return all
}

func advancedOf(basic types.EventSelector) []selector {
	equals := func(field string, values ...string) types.AdvancedFieldSelector {
		return types.AdvancedFieldSelector{Field: &field, Equals: values}
	}
	var all []selector
	add := func(s selector) {
		switch basic.ReadWriteType {
		case types.ReadWriteTypeReadOnly:
			s = append(s, equals(fieldReadOnly, "true"))
		case types.ReadWriteTypeWriteOnly:
			s = append(s, equals(fieldReadOnly, "false"))
		}
		all = append(all, s)
	}
	if basic.IncludeManagementEvents == nil || *basic.IncludeManagementEvents {
		s := selector{equals(fieldCategory, "Management")}
		if excluded := basic.ExcludeManagementEventSources; len(excluded) > 0 {
			s = append(s, types.AdvancedFieldSelector{Field: aws.String(fieldSource), NotEquals: excluded})
		}
		add(s)
	}
	for _, data := range basic.DataResources {
		add(selector{
			equals(fieldCategory, "Data"), equals(fieldResource, aws.ToString(data.Type)),
			{Field: aws.String(fieldARN), StartsWith: data.Values},
		})
	}
	return all
}

// logs tells whether the selector takes events like the sample; if it takes
// only some, under which conditions.
func (s selector) logs(of sample) (answer, []string) {
	result := yes
	var limits []string
	for _, c := range s {
		switch value, known := of.value(aws.ToString(c.Field)); {
		case known && !holds(c, value), !known && s3Only(c):
			return no, nil
		case !known && !always(c, of):
			result = some
			limits = append(limits, describe(c))
		}
	}
	return result, limits
}

// value returns what a field of the sample is, if that is known.
func (s sample) value(field string) (value string, known bool) {
	switch field {
	case fieldCategory:
		value = s.category
	case fieldReadOnly:
		value = fmt.Sprint(s.readOnly)
	case fieldSource:
		value = s.source
	case fieldName:
		value = s.name
	case fieldResource:
		value = s.resource
	}
	return value, value != ""
}

// holds tells whether a condition holds for a value: one of the operators that
// include, if there are any, and none of those that exclude.
func holds(c types.AdvancedFieldSelector, value string) bool {
	is := func(v string) bool { return v == value }
	begins := func(v string) bool { return strings.HasPrefix(value, v) }
	ends := func(v string) bool { return strings.HasSuffix(value, v) }
	if slices.ContainsFunc(c.NotEquals, is) || slices.ContainsFunc(c.NotStartsWith, begins) || slices.ContainsFunc(c.NotEndsWith, ends) {
		return false
	}
	return len(c.Equals)+len(c.StartsWith)+len(c.EndsWith) == 0 ||
		slices.ContainsFunc(c.Equals, is) || slices.ContainsFunc(c.StartsWith, begins) || slices.ContainsFunc(c.EndsWith, ends)
}

// s3Only tells whether a condition is on the type of resources and takes none but
// those of S3. What asks for data events without a type means other services'.
func s3Only(c types.AdvancedFieldSelector) bool {
	return aws.ToString(c.Field) == fieldResource && len(c.Equals) > 0 &&
		!slices.ContainsFunc(c.Equals, func(v string) bool { return !strings.HasPrefix(v, "AWS::S3::") })
}

// always tells whether a condition on a field that is not known holds whatever
// it is: ARNs that begin as those of all the sample's resources do.
func always(c types.AdvancedFieldSelector, of sample) bool {
	if aws.ToString(c.Field) != fieldARN || of.resource == "" || len(c.NotEquals)+len(c.NotStartsWith)+len(c.NotEndsWith) > 0 {
		return false
	}
	_, service, _ := strings.Cut(of.resource, "::")
	service, _, _ = strings.Cut(strings.ToLower(service), "::")
	return slices.ContainsFunc(c.StartsWith, func(v string) bool {
		parts := strings.SplitN(v, ":", 4) // arn, partition, service, and what would narrow it
		return len(parts) >= 3 && parts[2] == service && (len(parts) == 3 || strings.Trim(parts[3], ":") == "")
	})
}

// describe puts a condition into words: "resources.ARN starts with arn:…".
func describe(c types.AdvancedFieldSelector) string {
	var parts []string
	for _, op := range []struct {
		says   string
		values []string
	}{
		{"is", c.Equals}, {"starts with", c.StartsWith}, {"ends with", c.EndsWith},
		{"is not", c.NotEquals}, {"does not start with", c.NotStartsWith}, {"does not end with", c.NotEndsWith},
	} {
		if len(op.values) > 0 {
			parts = append(parts, op.says+" "+strings.Join(op.values, ", "))
		}
	}
	return aws.ToString(c.Field) + " " + strings.Join(parts, " and ")
}

// buckets returns the buckets, or beginnings of objects, that the selector
// names; "*" if it does not.
func (s selector) buckets() []string {
	for _, c := range s {
		if aws.ToString(c.Field) != fieldARN || always(c, sample{resource: s3Object}) {
			continue
		}
		var names []string
		for _, arn := range slices.Concat(c.Equals, c.StartsWith) {
			names = append(names, strings.TrimSuffix(arn[strings.LastIndexByte(arn, ':')+1:], "/"))
		}
		if len(names) > 0 {
			return names
		}
	}
	return []string{"*"}
}

package awstrail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"

	"github.com/cloudtell/cloudtell/detect"
	"github.com/cloudtell/cloudtell/detect/coverage"
)

// A Readiness is what an account's trails let the rules see. What the logs
// themselves say about that, package coverage tells.
type Readiness struct {
	Trails []Trail `json:"trails,omitempty"` // by ARN
	// Logged are the kinds of logging that some trail has switched on, if only
	// in part.
	Logged detect.Telemetry `json:"-"`
	// Rules are the rules by technique and name. Missing of a rule that is partly
	// blind says which part it sees.
	Rules []coverage.Rule `json:"rules"`
	// Advice lists what to switch on or repair.
	Advice []string `json:"advice,omitempty"`
}

// A Trail is the settings and the state of one trail.
type Trail struct {
	Name       string `json:"name"`
	ARN        string `json:"arn"`
	HomeRegion string `json:"home_region"`
	Bucket     string `json:"bucket"` // for List
	Prefix     string `json:"prefix,omitempty"`

	Logging      bool `json:"logging"` // now
	MultiRegion  bool `json:"multi_region"`
	Organization bool `json:"organization"`
	Validated    bool `json:"validated"` // by digests

	// LastDelivery is when log files were last delivered; zero if never.
	// DeliveryError is what S3 answered instead, if the last try failed.
	LastDelivery  time.Time `json:"last_delivery,omitzero"`
	DeliveryError string    `json:"delivery_error,omitempty"`

	// Logs are the kinds of logging that the trail has switched on, if only in
	// part, and if it is logging at all.
	Logs detect.Telemetry `json:"-"`
	// Buckets are those whose objects' calls it logs, or the beginnings of such
	// objects' names behind the bucket's; "*" stands for all.
	Buckets []string `json:"buckets,omitempty"`

	selectors []selector
	global    bool // services without a region are logged
}

// Inspect asks an account's trails what they log, and answers which of the rules
// with the given infos, such as those of [detect.Set.Infos], can fire on that. It
// needs the permissions cloudtrail:DescribeTrails, GetTrailStatus and
// GetEventSelectors.
//
// Regions are those whose trails are asked for; none stands for the client's.
// A trail for all regions, or of an organisation, shows in each of them, so one
// region is enough unless there are trails for a single region.
//
// A region or trail that does not answer is an error beside a Readiness of the
// others; that is nil if no region answered.
func Inspect(ctx context.Context, client *cloudtrail.Client, regions []string, infos []detect.Info) (*Readiness, error) {
	if len(regions) == 0 {
		regions = []string{""}
	}
	found := make(map[string]bool)
	r := &Readiness{}
	var errs []error
	answered := false
	for _, region := range regions {
		out, err := client.DescribeTrails(ctx, &cloudtrail.DescribeTrailsInput{}, in(region))
		if err != nil {
			errs = append(errs, fmt.Errorf("awstrail: trails of %s: %w", cmp.Or(region, "the client's region"), err))
			continue
		}
		answered = true
		for _, described := range out.TrailList {
			if arn := aws.ToString(described.TrailARN); found[arn] {
				continue
			} else {
				found[arn] = true
			}
			t := trailOf(described)
			if err := t.ask(ctx, client); err != nil {
				errs = append(errs, fmt.Errorf("awstrail: trail %s: %w", t.ARN, err))
			}
			r.Trails = append(r.Trails, t)
		}
	}
	if !answered {
		return nil, errors.Join(errs...)
	}
	slices.SortFunc(r.Trails, func(a, b Trail) int { return cmp.Compare(a.ARN, b.ARN) })
	r.conclude(infos)
	return r, errors.Join(errs...)
}

func in(region string) func(*cloudtrail.Options) {
	return func(o *cloudtrail.Options) {
		o.Region = cmp.Or(region, o.Region)
		o.Retryer = retryCutOff(o.Retryer)
	}
}

func trailOf(t types.Trail) Trail {
	return Trail{
		Name: aws.ToString(t.Name), ARN: aws.ToString(t.TrailARN), HomeRegion: aws.ToString(t.HomeRegion),
		Bucket: aws.ToString(t.S3BucketName), Prefix: aws.ToString(t.S3KeyPrefix),
		MultiRegion: aws.ToBool(t.IsMultiRegionTrail), Organization: aws.ToBool(t.IsOrganizationTrail),
		Validated: aws.ToBool(t.LogFileValidationEnabled), global: aws.ToBool(t.IncludeGlobalServiceEvents),
	}
}

// ask completes what is known of a trail. Only its home region answers for it.
func (t *Trail) ask(ctx context.Context, client *cloudtrail.Client) error {
	status, err := client.GetTrailStatus(ctx, &cloudtrail.GetTrailStatusInput{Name: &t.ARN}, in(t.HomeRegion))
	if err != nil {
		return err
	}
	t.Logging = aws.ToBool(status.IsLogging)
	t.LastDelivery = aws.ToTime(status.LatestDeliveryTime)
	t.DeliveryError = aws.ToString(status.LatestDeliveryError)
	selectors, err := client.GetEventSelectors(ctx, &cloudtrail.GetEventSelectorsInput{TrailName: &t.ARN}, in(t.HomeRegion))
	if err != nil {
		return err
	}
	t.selectors = selectorsOf(selectors)
	if !t.Logging {
		return nil
	}
	for _, kind := range allKinds.Kinds() {
		for _, of := range samples(kind, nil) {
			if a, _ := t.logs(of); a != no {
				t.Logs |= kind
			}
		}
	}
	for _, s := range t.selectors {
		for _, of := range samples(detect.S3DataEvents, nil) {
			if a, _ := s.logs(of); a != no {
				t.Buckets = append(t.Buckets, s.buckets()...)
			}
		}
	}
	slices.Sort(t.Buckets)
	t.Buckets = slices.Compact(t.Buckets)
	return nil
}

const allKinds = detect.ManagementEvents | detect.S3DataEvents | detect.OtherDataEvents | detect.NetworkEvents

// logs tells whether the trail logs events like the sample; if only some, under
// which conditions.
func (t *Trail) logs(of sample) (answer, []string) {
	if !t.Logging {
		return no, nil
	}
	best := no
	var limits []string
	for _, s := range t.selectors {
		a, l := s.logs(of)
		best = max(best, a)
		if a == some {
			limits = append(limits, strings.Join(l, " and "))
		}
	}
	if best == yes {
		limits = nil
	}
	if best != no && !t.MultiRegion {
		best, limits = some, append(limits, "awsRegion is "+t.HomeRegion)
	}
	if best != no && !t.MultiRegion && !t.global && of.category == "Management" {
		best, limits = some, append(limits, "not of global services such as IAM")
	}
	return best, limits
}

// logs is the answer of all trails together.
func (r *Readiness) logs(of sample) (answer, []string) {
	best := no
	var limits []string
	for i := range r.Trails {
		a, l := r.Trails[i].logs(of)
		best = max(best, a)
		limits = append(limits, l...)
	}
	if best == yes {
		return yes, nil
	}
	return best, limits
}

// resources are the types of resources of services whose data events rules look
// at (CloudTrail user guide, logging data events).
var resources = map[string]string{
	"s3":               s3Object,
	"cognito-identity": "AWS::Cognito::IdentityPool",
	"dynamodb":         "AWS::DynamoDB::Table",
	"lambda":           "AWS::Lambda::Function",
}

// samples returns what a rule with the given patterns looks for in one kind of
// logging.
func samples(kind detect.Telemetry, patterns []string) []sample {
	var list []sample
	add := func(s sample) {
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	if slices.Contains(patterns, "*") {
		patterns = nil
	}
	for _, pattern := range patterns {
		service, name, _ := strings.Cut(pattern, ":")
		if name == "*" {
			name = ""
		}
		source := service + ".amazonaws.com"
		switch kind {
		case detect.ManagementReads, detect.ManagementWrites:
			add(sample{category: "Management", readOnly: kind == detect.ManagementReads, source: source, name: name})
		case detect.S3DataEvents:
			if service == "s3" {
				for _, readOnly := range readings(name) {
					add(sample{category: "Data", readOnly: readOnly, source: source, name: name, resource: s3Object})
				}
			}
		case detect.OtherDataEvents:
			if service != "s3" {
				for _, readOnly := range readings(name) {
					add(sample{category: "Data", readOnly: readOnly, source: source, name: name, resource: resources[service]})
				}
			}
		case detect.NetworkEvents:
			for _, readOnly := range readings(name) {
				add(sample{category: "NetworkActivity", readOnly: readOnly, source: source, name: name})
			}
		}
	}
	if len(list) > 0 {
		return list
	}
	for _, readOnly := range []bool{true, false} { // of any call
		switch {
		case kind == detect.ManagementReads && readOnly, kind == detect.ManagementWrites && !readOnly:
			add(sample{category: "Management", readOnly: readOnly})
		case kind == detect.S3DataEvents:
			add(sample{category: "Data", readOnly: readOnly, source: "s3.amazonaws.com", resource: s3Object})
		case kind == detect.OtherDataEvents:
			add(sample{category: "Data", readOnly: readOnly})
		case kind == detect.NetworkEvents:
			add(sample{category: "NetworkActivity", readOnly: readOnly})
		}
	}
	return list
}

// readings tells whether a data operation only reads; both, if that is not known.
func readings(operation string) []bool {
	for _, verb := range []string{"Get", "Head", "List", "Select"} {
		if strings.HasPrefix(operation, verb) {
			return []bool{true}
		}
	}
	if operation == "" {
		return []bool{true, false}
	}
	return []bool{false}
}

// conclude works out what the trails mean for the rules.
func (r *Readiness) conclude(infos []detect.Info) {
	for i := range r.Trails {
		r.Logged |= r.Trails[i].Logs
	}
	waiting := make(map[detect.Telemetry]int)
	for i := range infos {
		r.Rules = append(r.Rules, r.rule(&infos[i]))
		for _, kind := range (infos[i].Needs &^ r.Logged).Kinds() {
			waiting[kind]++
		}
	}
	slices.SortFunc(r.Rules, func(a, b coverage.Rule) int {
		return cmp.Or(cmp.Compare(a.Technique.Parent(), b.Technique.Parent()), cmp.Compare(a.Name, b.Name))
	})
	r.advise(waiting)
}

// rule tells what one rule can see.
func (r *Readiness) rule(info *detect.Info) coverage.Rule {
	rule := coverage.Rule{Name: info.Name, Technique: info.Technique, Tactic: info.Tactic, State: coverage.Ready}
	blind := true
	var missing []string
	for _, kind := range info.Needs.Kinds() {
		all := samples(kind, info.Events)
		var parts, unseen []string
		for _, of := range all {
			a, limits := r.logs(of)
			switch a {
			case no:
				unseen = append(unseen, of.what())
			case some:
				parts = append(parts, "only where "+strings.Join(limits, ", or "))
			}
		}
		if len(unseen) == len(all) {
			missing = append(missing, kind.String())
			continue
		}
		blind = false
		if len(unseen) > 0 {
			parts = append(parts, "no "+few(unseen))
		}
		if len(parts) > 0 {
			slices.Sort(parts)
			missing = append(missing, kind.String()+" ("+few(slices.Compact(parts))+")")
		}
	}
	rule.Missing = strings.Join(missing, " and ")
	switch {
	case info.Needs != 0 && blind:
		rule.State = coverage.Blind
	case info.Hook != "":
		rule.State, rule.Missing = coverage.Unconfigured, info.Hook
	case len(missing) > 0:
		rule.State = coverage.Partly
	}
	return rule
}

// what names the events that a sample stands for.
func (s sample) what() string {
	switch {
	case s.name != "":
		return strings.TrimSuffix(s.source, ".amazonaws.com") + ":" + s.name
	case s.readOnly:
		return "calls that read"
	}
	return "calls that write"
}

// few names the first of many.
func few(names []string) string {
	const most = 4
	s := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// advise says what to switch on or repair: what opens most eyes comes first.
func (r *Readiness) advise(waiting map[detect.Telemetry]int) {
	kinds := allKinds.Kinds()
	slices.SortStableFunc(kinds, func(a, b detect.Telemetry) int { return cmp.Compare(waiting[b], waiting[a]) })
	for _, kind := range kinds {
		what := kind.String()
		if kind == detect.S3DataEvents {
			what = "S3 data events, which server access logs could replace"
		}
		if n := waiting[kind]; n > 0 {
			r.Advice = append(r.Advice, fmt.Sprintf("No trail logs %s. Rules that wait for that: %d.", what, n))
		}
	}
	everywhere := false
	for _, t := range r.Trails {
		everywhere = everywhere || t.Logging && t.MultiRegion
		switch {
		case !t.Logging:
			r.Advice = append(r.Advice, fmt.Sprintf("Trail %s does not log: start it.", t.Name))
		case t.DeliveryError != "":
			r.Advice = append(r.Advice, fmt.Sprintf("Trail %s cannot deliver to %s: %s.", t.Name, t.Bucket, t.DeliveryError))
		case !t.Validated:
			r.Advice = append(r.Advice, fmt.Sprintf("Trail %s writes no digests: nobody would notice files that were changed or deleted.", t.Name))
		}
	}
	if r.Logged != 0 && !everywhere {
		r.Advice = append(r.Advice, "No trail logs all regions: attackers work in those that nobody looks at.")
	}
}

// String writes the readiness as a table for a person.
func (r *Readiness) String() string {
	var b strings.Builder
	for _, t := range r.Trails {
		fmt.Fprintf(&b, "trail %s: %s\n", t.Name, t)
	}
	if len(r.Trails) == 0 {
		b.WriteString("no trail\n")
	}
	b.WriteByte('\n')
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "TECHNIQUE\tRULE\tSTATE\tMISSING")
	for _, rule := range r.Rules {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", rule.Technique, rule.Name, rule.State, rule.Missing)
	}
	w.Flush()
	for line := range strings.Lines(table.String()) {
		fmt.Fprintln(&b, strings.TrimRight(line, " \n"))
	}
	if len(r.Advice) > 0 {
		fmt.Fprintf(&b, "\n- %s\n", strings.Join(r.Advice, "\n- "))
	}
	return b.String()
}

// String says what a trail does in a line.
func (t Trail) String() string {
	if !t.Logging {
		return "not logging"
	}
	says := []string{"logs " + t.Logs.String()}
	if len(t.Buckets) > 0 && !slices.Contains(t.Buckets, "*") {
		says[0] += " of " + few(t.Buckets)
	}
	if t.MultiRegion {
		says = append(says, "all regions")
	} else {
		says = append(says, t.HomeRegion+" only")
	}
	if t.Organization {
		says = append(says, "all accounts of the organisation")
	}
	if t.Validated {
		says = append(says, "with digests")
	} else {
		says = append(says, "without digests")
	}
	switch {
	case t.DeliveryError != "":
		says = append(says, "delivery fails: "+t.DeliveryError)
	case t.LastDelivery.IsZero():
		says = append(says, "nothing delivered yet")
	default:
		says = append(says, "last delivery "+t.LastDelivery.UTC().Format(time.RFC3339))
	}
	return strings.Join(says, ", ")
}

package output

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/cloudtell/cloudtell/detect"
)

// The limits of Security Hub, from its API reference and its partner guide.
const (
	asffMaxFinding     = 240_000   // bytes of a finding
	asffMaxBatch       = 6_000_000 // bytes of a batch
	asffMaxBatchLen    = 100       // findings in a batch
	asffMaxID          = 512       // characters; so for GeneratorId, and ids of resources
	asffMaxTitle       = 256
	asffMaxDescription = 1024
	asffMaxAdvice      = 512
	asffMaxField       = 2048 // characters of a product field's value
	asffMaxParts       = 42   // of the 50 product fields: those that carry the finding
)

// ErrTooLarge says that a finding does not fit into the form, however its
// strings are cut.
var ErrTooLarge = errors.New("output: finding too large")

type asffFinding struct {
	SchemaVersion   string
	Id              string
	ProductArn      string
	ProductName     string
	CompanyName     string
	GeneratorId     string
	AwsAccountId    string
	Region          string
	CreatedAt       string
	UpdatedAt       string
	FirstObservedAt string
	LastObservedAt  string
	Title           string
	Description     string

	FindingProviderFields asffProvided
	Resources             []asffResource
	Network               *asffNetwork     `json:",omitempty"`
	Remediation           *asffRemediation `json:",omitempty"`
	RecordState           string
	ProductFields         map[string]string
}

type asffProvided struct {
	Severity asffSeverity
	Types    []string
}

type asffSeverity struct {
	Label    string
	Original string
}

type asffResource struct {
	Type      string
	Id        string
	Partition string
	Region    string
	Details   *asffDetails `json:",omitempty"`
}

type asffDetails struct {
	AwsIamAccessKey *asffAccessKey `json:",omitempty"`
}

type asffAccessKey struct {
	AccessKeyId   string
	PrincipalName string `json:",omitempty"`
}

type asffNetwork struct {
	Direction  string
	SourceIpV4 string `json:",omitempty"`
	SourceIpV6 string `json:",omitempty"`
}

type asffRemediation struct {
	Recommendation asffRecommendation
}

type asffRecommendation struct {
	Text string
	Url  string `json:",omitempty"`
}

// ASFF returns the finding in the AWS Security Finding Format, as one line of
// JSON: an element of what BatchImportFindings takes. Title, description and
// advice are cut to what the format allows. The whole finding is in the product
// fields cloudtell/finding/00 and following; one too large for that, of which
// none is known but in attacks on the log itself, has all its strings cut to
// 256 bytes.
//
// Severity and types go into FindingProviderFields, because the customer's own
// may not be overwritten. The product is the account's default one.
//
// The error says that neither the finding nor the options name an account or a
// region, or wraps [ErrTooLarge].
func ASFF(f *detect.Finding, o *Options) ([]byte, error) {
	d := o.orDefault(f)
	account, region := cmp.Or(f.AccountID, d.AccountID), cmp.Or(d.Region, f.Region)
	if !accountID(account) {
		return nil, fmt.Errorf("output: ASFF of finding %s: %q is no account id", f.ID, account)
	}
	if region == "" {
		return nil, fmt.Errorf("output: ASFF of finding %s: no region", f.ID)
	}
	stamp := func(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
	partition := partitionOf(region)
	title := cmp.Or(line(f.Title), f.Rule, f.ID)
	description := title
	if evidence := line(details(f)); evidence != "" {
		description += ": " + evidence
	}
	a := asffFinding{
		SchemaVersion: "2018-10-08",
		Id:            cut(f.ID, asffMaxID),
		ProductArn:    fmt.Sprintf("arn:%s:securityhub:%s:%s:product/%s/default", partition, region, account, account),
		ProductName:   "cloudtell", CompanyName: "cloudtell",
		GeneratorId:  cut("cloudtell/"+f.Rule, asffMaxID),
		AwsAccountId: account, Region: region,
		CreatedAt: stamp(f.Time), UpdatedAt: stamp(d.Time), FirstObservedAt: stamp(firstOf(f)), LastObservedAt: stamp(lastOf(f)),
		Title: cut(title, asffMaxTitle), Description: cut(description, asffMaxDescription),
		FindingProviderFields: asffProvided{
			Severity: asffSeverity{asffLabel(f.Severity), f.Severity.String()},
			Types:    []string{asffType(f.Tactic)},
		},
		Resources:   asffResources(f, account, region, partition),
		RecordState: "ACTIVE",
	}
	if ip, err := netip.ParseAddr(f.SourceAddress); err == nil {
		a.Network = &asffNetwork{Direction: "IN"}
		if ip = ip.Unmap(); ip.Is4() {
			a.Network.SourceIpV4 = ip.String()
		} else {
			a.Network.SourceIpV6 = ip.WithZone("").String()
		}
	}
	if len(f.Respond) > 0 {
		a.Remediation = &asffRemediation{asffRecommendation{Text: cut(strings.Join(f.Respond, " "), asffMaxAdvice)}}
		if f.Technique != "" {
			a.Remediation.Recommendation.Url = f.Technique.URL()
		}
	}
	whole, err := json.Marshal(f)
	if err != nil {
		return nil, err
	}
	if a.ProductFields = asffFields(f, whole); a.ProductFields == nil {
		if whole, err = json.Marshal(shortened(f)); err != nil {
			return nil, err
		}
		a.ProductFields = asffFields(f, whole)
	}
	if a.ProductFields == nil {
		return nil, fmt.Errorf("%w: %s: %d bytes", ErrTooLarge, f.ID, len(whole))
	}
	text, err := json.Marshal(a)
	if err == nil && len(text) > asffMaxFinding {
		err = fmt.Errorf("%w: %s: %d bytes of ASFF", ErrTooLarge, f.ID, len(text))
	}
	if err != nil {
		return nil, err
	}
	return text, nil
}

func asffLabel(s detect.Severity) string {
	switch s {
	case detect.Low, detect.Medium, detect.High, detect.Critical:
		return strings.ToUpper(s.String())
	}
	return "INFORMATIONAL"
}

// asffType places a finding in the format's taxonomy of types.
func asffType(t detect.Tactic) string {
	if name := t.Name(); name != "" {
		return "TTPs/" + name
	}
	return "Unusual Behaviors/User"
}

func asffResources(f *detect.Finding, account, region, partition string) []asffResource {
	who := asffResource{Type: "Other", Id: cut(f.Principal, asffMaxID), Partition: partition, Region: region}
	switch {
	case strings.Contains(f.Principal, ":user/"):
		who.Type = "AwsIamUser"
	case strings.Contains(f.Principal, ":role/"):
		who.Type = "AwsIamRole"
	case f.Principal == "" || strings.HasSuffix(f.Principal, ":root"):
		who.Type, who.Id = "AwsAccount", "AWS::::Account:"+account
	}
	list := []asffResource{who}
	if f.AccessKeyID != "" {
		list = append(list, asffResource{
			Type: "AwsIamAccessKey", Id: cut("AWS::IAM::AccessKey:"+f.AccessKeyID, asffMaxID), Partition: partition, Region: region,
			Details: &asffDetails{&asffAccessKey{cut(f.AccessKeyID, 128), cut(f.PrincipalName, 128)}},
		})
	}
	if f.Subject != "" {
		list = append(list, asffResource{Type: "Other", Id: cut(f.Subject, asffMaxID), Partition: partition, Region: region})
	}
	return list
}

// asffPart is the name of the product field with a part of the finding.
func asffPart(i int) string { return fmt.Sprintf("cloudtell/finding/%02d", i) }

// asffFields returns what is to be read by people, and the finding in parts; nil
// if that takes too many.
func asffFields(f *detect.Finding, whole []byte) map[string]string {
	fields := map[string]string{
		"cloudtell/rule": cut(f.Rule, asffMaxField), "cloudtell/attack_version": detect.ATTACKVersion,
	}
	if f.Technique != "" {
		fields["cloudtell/technique"] = cut(string(f.Technique), asffMaxField)
	}
	if f.Tactic != "" {
		fields["cloudtell/tactic"] = cut(string(f.Tactic), asffMaxField)
	}
	if evidence := line(details(f)); evidence != "" {
		fields["cloudtell/evidence"] = cut(evidence, asffMaxField)
	}
	rest := string(whole)
	for i := 0; rest != ""; i++ {
		if i == asffMaxParts {
			return nil
		}
		part := prefix(rest, asffMaxField)
		fields[asffPart(i)], rest = part, rest[len(part):]
	}
	return fields
}

// shortened returns the finding with all its strings cut, and its lists.
func shortened(f *detect.Finding) *detect.Finding {
	const most, mostOf = 256, 32
	s := *f
	for _, p := range []*string{
		&s.ID, &s.Rule, &s.Title, &s.Scope, &s.Key, &s.Principal, &s.PrincipalName, &s.Session, &s.AccessKeyID, &s.Subject, &s.AccountID, &s.Region,
		&s.SourceAddress, &s.UserAgent, &s.Suppressed,
	} {
		*p = cut(*p, most)
	}
	list := func(l []string) []string {
		l = slices.Clone(l[:min(mostOf, len(l))])
		for i := range l {
			l[i] = cut(l[i], most)
		}
		return l
	}
	s.EventIDs, s.Benign, s.Respond, s.Mitigations = list(s.EventIDs), list(s.Benign), list(s.Respond), list(s.Mitigations)
	s.Evidence = slices.Clone(s.Evidence[:min(mostOf, len(s.Evidence))])
	for i := range s.Evidence {
		e := &s.Evidence[i]
		e.Name, e.Observed, e.Expected, e.EventIDs = cut(e.Name, most), cut(e.Observed, most), cut(e.Expected, most), list(e.EventIDs)
	}
	s.Unusual = slices.Clone(s.Unusual[:min(mostOf, len(s.Unusual))])
	for i := range s.Unusual {
		s.Unusual[i].Value = cut(s.Unusual[i].Value, most)
	}
	return &s
}

// line returns a text without line ends and other control characters, which
// Security Hub's patterns do not take everywhere.
func line(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ReplaceAll(s, "\n", "; ")))
}

// cut returns text of at most n bytes, the end of a longer one replaced by an
// ellipsis. A byte is at least as much as a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	return prefix(s, n-len(mark)) + mark
}

// prefix returns the first n bytes of a text, without a broken character.
func prefix(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func accountID(s string) bool {
	return len(s) == 12 && !strings.ContainsFunc(s, func(r rune) bool { return r < '0' || r > '9' })
}

// partitionOf returns the partition that a region is in.
func partitionOf(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// A Batch is what one call of BatchImportFindings takes.
type Batch struct {
	// AccountID is the account that has to make the call: Security Hub takes
	// findings only from the account that they are about.
	AccountID string
	// Findings are in the form of [ASFF]: at most 100 of them, and 6 MB.
	Findings []json.RawMessage
}

// MarshalJSON returns the body of the request.
func (b Batch) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string][]json.RawMessage{"Findings": b.Findings})
}

// Batches puts findings into as few requests as Security Hub's rules allow: one
// account each, at most 100 findings and 6 MB. Of several revisions of a
// finding the last one is sent. Findings keep their order.
//
// What cannot be written is left out and named by the error, which joins that of
// each; the batches hold all others.
func Batches(findings []detect.Finding, o *Options) ([]Batch, error) {
	newest := make(map[string]int, len(findings)) // by ID: the index of its last revision
	for i := range findings {
		if k, ok := newest[findings[i].ID]; !ok || findings[i].Revision >= findings[k].Revision {
			newest[findings[i].ID] = i
		}
	}
	var batches []Batch
	open := make(map[string]int) // by account: the batch that is being filled
	size := make(map[string]int)
	var problems []error
	for i := range findings {
		f := &findings[i]
		if newest[f.ID] != i {
			continue
		}
		text, err := ASFF(f, o)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		account := f.AccountID
		if account == "" {
			account = o.AccountID // ASFF has made sure of it
		}
		n, ok := open[account]
		if !ok || len(batches[n].Findings) == asffMaxBatchLen || size[account]+len(text) > asffMaxBatch {
			n = len(batches)
			batches = append(batches, Batch{AccountID: account})
			open[account], size[account] = n, len(`{"Findings":[]}`)
		}
		batches[n].Findings = append(batches[n].Findings, text)
		size[account] += len(text) + 1
	}
	return batches, errors.Join(problems...)
}

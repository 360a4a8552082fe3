package coverage

import (
	"encoding/json"
	"fmt"

	"github.com/cloudtell/cloudtell/detect"
)

// The colours of a layer's techniques, by what can be seen of them.
var colours = map[State]string{
	Ready: "#8ec843", Partly: "#ffe766", Unconfigured: "#cccccc", Blind: "#ff6666",
}

// The layer format of the ATT&CK Navigator, version 4.5; what is not used is
// left out.
type layer struct {
	Name        string           `json:"name"`
	Versions    layerVersions    `json:"versions"`
	Domain      string           `json:"domain"`
	Description string           `json:"description"`
	Filters     layerFilters     `json:"filters"`
	Techniques  []layerTechnique `json:"techniques"`
	Gradient    layerGradient    `json:"gradient"`
	Legend      []legendItem     `json:"legendItems"`
}

type layerVersions struct {
	ATTACK    string `json:"attack"`
	Navigator string `json:"navigator"`
	Layer     string `json:"layer"`
}

type layerFilters struct {
	Platforms []string `json:"platforms"`
}

type layerTechnique struct {
	ID       string          `json:"techniqueID"`
	Tactic   string          `json:"tactic"`
	Score    int             `json:"score"` // findings
	Colour   string          `json:"color"`
	Comment  string          `json:"comment"`
	Enabled  bool            `json:"enabled"`
	Metadata []layerMetadata `json:"metadata"`
}

type layerMetadata struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type layerGradient struct {
	Colours []string `json:"colors"`
	Min     int      `json:"minValue"`
	Max     int      `json:"maxValue"`
}

type legendItem struct {
	Label  string `json:"label"`
	Colour string `json:"color"`
}

// Navigator returns the report as a layer of the ATT&CK Navigator (format
// 4.5): every technique and sub-technique that a rule is about, coloured by
// what can be seen of it, scored by the number of findings given for it.
func (r *Report) Navigator(name string, findings map[detect.Technique]int) ([]byte, error) {
	l := layer{
		Name:        name,
		Versions:    layerVersions{ATTACK: detect.ATTACKVersion, Navigator: "5.1.0", Layer: "4.5"},
		Domain:      "enterprise-attack",
		Description: "What cloudtell's rules can see in the logs that were read, and how much they found.",
		Filters:     layerFilters{Platforms: []string{"IaaS"}},
		Gradient:    layerGradient{Colours: []string{"#ffffff", "#ff6666"}, Max: 1},
	}
	for _, s := range []State{Ready, Partly, Unconfigured, Blind} {
		l.Legend = append(l.Legend, legendItem{Label: string(s), Colour: colours[s]})
	}
	type place struct {
		id     detect.Technique
		tactic detect.Tactic
	}
	var order []place
	rules := make(map[place][]Rule)
	for _, rule := range r.Rules {
		// A technique shows all its rules, those of its sub-techniques too.
		for _, id := range []detect.Technique{rule.Technique.Parent(), rule.Technique} {
			p := place{id, rule.Tactic}
			if n := len(rules[p]); n > 0 && rules[p][n-1].Name == rule.Name {
				continue
			}
			if rules[p] == nil {
				order = append(order, p)
			}
			rules[p] = append(rules[p], rule)
		}
	}
	for _, p := range order {
		t := layerTechnique{ID: string(p.id), Tactic: p.tactic.ShortName(), Enabled: true, Score: findings[p.id]}
		state, ready := summary(rules[p]), 0
		for _, rule := range rules[p] {
			if rule.State == Ready {
				ready++
			}
			value := string(rule.State)
			if rule.Missing != "" {
				value += ": " + rule.Missing
			}
			t.Metadata = append(t.Metadata, layerMetadata{Name: rule.Name, Value: value})
		}
		t.Colour = colours[state]
		t.Comment = fmt.Sprintf("%s: %d of %d rules ready, %d findings", state, ready, len(rules[p]), t.Score)
		l.Gradient.Max = max(l.Gradient.Max, t.Score)
		l.Techniques = append(l.Techniques, t)
	}
	return json.MarshalIndent(l, "", "  ")
}

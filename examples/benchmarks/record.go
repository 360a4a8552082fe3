//go:build unix

package main

// record is the struct that a detector needs, for the libraries that fill
// structs. R is the library's type for raw JSON. It asks less of them than
// [event.Read] does: no times, addresses, principals or tool families.
type record[R any] struct {
	EventVersion                 string   `json:"eventVersion"`
	UserIdentity                 identity `json:"userIdentity"`
	EventTime                    string   `json:"eventTime"`
	EventSource                  string   `json:"eventSource"`
	EventName                    string   `json:"eventName"`
	AWSRegion                    string   `json:"awsRegion"`
	SourceIPAddress              string   `json:"sourceIPAddress"`
	UserAgent                    string   `json:"userAgent"`
	ErrorCode                    string   `json:"errorCode"`
	ErrorMessage                 string   `json:"errorMessage"`
	RequestParameters            R        `json:"requestParameters"`
	ResponseElements             R        `json:"responseElements"`
	AdditionalEventData          R        `json:"additionalEventData"`
	ServiceEventDetails          R        `json:"serviceEventDetails"`
	RequestID                    string   `json:"requestID"`
	EventID                      string   `json:"eventID"`
	ReadOnly                     bool     `json:"readOnly"`
	Resources                    R        `json:"resources"`
	EventType                    string   `json:"eventType"`
	ManagementEvent              bool     `json:"managementEvent"`
	RecipientAccountID           string   `json:"recipientAccountId"`
	SharedEventID                string   `json:"sharedEventID"`
	VPCEndpointID                string   `json:"vpcEndpointId"`
	VPCEndpointAccountID         string   `json:"vpcEndpointAccountId"`
	EventCategory                string   `json:"eventCategory"`
	SessionCredentialFromConsole string   `json:"sessionCredentialFromConsole"`
}

type identity struct {
	Type             string  `json:"type"`
	PrincipalID      string  `json:"principalId"`
	ARN              string  `json:"arn"`
	AccountID        string  `json:"accountId"`
	AccessKeyID      string  `json:"accessKeyId"`
	UserName         string  `json:"userName"`
	InvokedBy        string  `json:"invokedBy"`
	IdentityProvider string  `json:"identityProvider"`
	SessionContext   session `json:"sessionContext"`
	OnBehalfOf       struct {
		UserID           string `json:"userId"`
		IdentityStoreARN string `json:"identityStoreArn"`
	} `json:"onBehalfOf"`
}

type session struct {
	SessionIssuer struct {
		Type        string `json:"type"`
		PrincipalID string `json:"principalId"`
		ARN         string `json:"arn"`
		AccountID   string `json:"accountId"`
		UserName    string `json:"userName"`
	} `json:"sessionIssuer"`
	Attributes struct {
		CreationDate     string `json:"creationDate"`
		MFAAuthenticated string `json:"mfaAuthenticated"`
	} `json:"attributes"`
	SourceIdentity      string `json:"sourceIdentity"`
	EC2RoleDelivery     string `json:"ec2RoleDelivery"`
	WebIDFederationData struct {
		FederatedProvider string `json:"federatedProvider"`
	} `json:"webIdFederationData"`
}

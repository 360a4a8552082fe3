package account

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// The calls that matter to detectors, with requests as AWS logs them.

// get reads an object.
func (w *work) get(bucket, key string) { w.object("GetObject", bucket, key, 0, 900+w.IntN(400_000)) }

// put writes an object.
func (w *work) put(bucket, key string) { w.object("PutObject", bucket, key, 900+w.IntN(400_000), 0) }

func (w *work) object(name, bucket, key string, in, out int) {
	w.write(&call{
		api:       "s3:" + name,
		request:   fields{"bucketName", bucket, "Host", bucketHost(bucket), "key", key},
		more:      w.transfer(in, out, true),
		resources: []fields{{"type", "AWS::S3::Object", "ARN", "arn:aws:s3:::" + bucket + "/" + key}, bucketResource(bucket)},
		shared:    w.foreign(),
	})
}

// list lists the objects of a bucket under a prefix, folder by folder.
func (w *work) list(bucket, prefix string) {
	w.write(&call{
		api: "s3:ListObjects",
		request: fields{
			"list-type", "2", "bucketName", bucket, "encoding-type", "url", "prefix", prefix, "delimiter", "/", "Host", bucketHost(bucket),
		},
		more:      w.transfer(0, 700+w.IntN(60_000), true),
		resources: []fields{{"type", "AWS::S3::Object", "ARNPrefix", "arn:aws:s3:::" + bucket + "/"}, bucketResource(bucket)},
		shared:    w.foreign(),
	})
}

// denyObject is refused an operation on an object or, without a key, a bucket.
func (w *work) denyObject(name, bucket, key string) {
	request := fields{"bucketName", bucket, "Host", bucketHost(bucket)}
	if key != "" {
		request = append(request, "key", key)
	}
	w.write(&call{
		api: "s3:" + name, request: request, code: "AccessDenied", message: "Access Denied",
		more: w.transfer(0, 243, true), resources: []fields{bucketResource(bucket)},
	})
}

// posture reads a bucket's configuration: GetBucketAcl and the like.
func (w *work) posture(name, bucket string) {
	request := fields{"bucketName", bucket, "Host", bucketHost(bucket), strings.ToLower(strings.TrimPrefix(name, "GetBucket")), ""}
	w.write(&call{
		api: "s3:" + name, request: request, more: w.transfer(0, 300+w.IntN(700), false), resources: []fields{bucketResource(bucket)},
	})
}

// openBucket lets anyone list and read a bucket.
func (w *work) openBucket(bucket string) {
	w.write(&call{
		api: "s3:PutBucketPolicy",
		request: fields{
			"bucketName", bucket, "Host", bucketHost(bucket), "policy", "",
			"bucketPolicy", fields{"Version", "2012-10-17", "Statement", []fields{{
				"Effect", "Allow", "Principal", "*", "Action", []string{"s3:GetObject", "s3:ListBucket"},
				"Resource", []string{"arn:aws:s3:::" + bucket, "arn:aws:s3:::" + bucket + "/*"},
			}}},
		},
		more: w.transfer(380, 0, false), resources: []fields{bucketResource(bucket)},
	})
}

// listBuckets lists the account's buckets.
func (w *work) listBuckets() {
	w.write(&call{
		api: "s3:ListBuckets", request: fields{"Host", "s3." + home + ".amazonaws.com"}, more: w.transfer(0, 2900+w.IntN(200), false),
	})
}

func bucketHost(bucket string) string { return bucket + ".s3." + home + ".amazonaws.com" }

func bucketResource(bucket string) fields {
	return fields{"accountId", accountID, "type", "AWS::S3::Bucket", "ARN", "arn:aws:s3:::" + bucket}
}

func (w *work) foreign() bool { return strings.HasPrefix(w.key, "aws-account:") }

// transfer is what S3 adds to its records. Byte counts of data events are
// written with a decimal point.
func (w *work) transfer(in, out int, data bool) fields {
	if w.key == "anonymous" {
		return fields{"CipherSuite", "TLS_AES_128_GCM_SHA256", "bytesTransferredIn", float64(in), "bytesTransferredOut", float64(out), "x-amz-id-2", hostID(w.Rand)}
	}
	f := transfer(w.Rand, in, out, data)
	if w.presigned {
		f[slices.Index(f, any("AuthHeader"))] = "QueryString"
	}
	return f
}

func transfer(r *rand.Rand, in, out int, data bool) fields {
	var bytesIn, bytesOut any = in, out
	if data {
		bytesIn, bytesOut = float64(in), float64(out)
	}
	return fields{
		"SignatureVersion", "SigV4", "CipherSuite", "TLS_AES_128_GCM_SHA256", "bytesTransferredIn", bytesIn,
		"AuthenticationMethod", "AuthHeader", "x-amz-id-2", hostID(r), "bytesTransferredOut", bytesOut,
	}
}

// hostID is the second request id of S3.
func hostID(r *rand.Rand) string {
	var b [40]byte
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b[:])
}

// param reads a parameter. If it is encrypted, a call to KMS follows, in the
// reader's name.
func (w *work) param(name string, encrypted bool) {
	w.write(&call{
		api: "ssm:GetParameter", request: fields{"name", name, "withDecryption", encrypted},
		resources: []fields{{"accountId", accountID, "ARN", parameterARN(name)}},
	})
	if encrypted {
		w.decrypt("AWS Internal", "PARAMETER_ARN", parameterARN(name))
	}
}

func parameterARN(name string) string {
	return "arn:aws:ssm:" + home + ":" + accountID + ":parameter/" + strings.TrimPrefix(name, "/")
}

// params reads up to ten parameters at once.
func (w *work) params(names []string) {
	resources := make([]fields, len(names))
	for i, name := range names {
		resources[i] = fields{"accountId", accountID, "ARN", parameterARN(name)}
	}
	w.write(&call{api: "ssm:GetParameters", request: fields{"names", names, "withDecryption", true}, resources: resources})
}

// secret reads a secret, which is always encrypted.
func (w *work) secret(name string) {
	w.call("secretsmanager:GetSecretValue", fields{"secretId", name})
	w.decrypt("secretsmanager.amazonaws.com", "SecretARN", "arn:aws:secretsmanager:"+home+":"+accountID+":secret:"+name+"-"+w.letters(name, 6))
}

// decrypt is KMS at work for a service, in the name of whoever called that.
func (w *work) decrypt(by, contextName, context string) {
	behind := &work{day: w.day, session: w.onBehalf(by), now: w.now, pace: time.Second}
	behind.write(&call{
		api:       "kms:Decrypt",
		request:   fields{"encryptionContext", fields{contextName, context}, "encryptionAlgorithm", "SYMMETRIC_DEFAULT"},
		resources: []fields{{"accountId", accountID, "type", "AWS::KMS::Key", "ARN", w.keyARN("app")}},
	})
}

// keyARN returns the ARN of a KMS key.
func (a *Account) keyARN(name string) string {
	id := a.hex("kms/"+name, 32)
	return fmt.Sprintf("arn:aws:kms:%s:%s:key/%s-%s-%s-%s-%s", home, accountID, id[:8], id[8:12], id[12:16], id[16:20], id[20:])
}

// userData reads the user data of an instance.
func (w *work) userData(instance string) {
	w.call("ec2:DescribeInstanceAttribute", fields{"attribute", "userData", "instanceId", instance})
}

// function makes a call about one Lambda function.
func (w *work) function(name, function string) {
	w.call("lambda:"+name, fields{"functionName", function})
}

// assume takes on a role and returns the new session, from the same place with
// the same software.
func (w *work) assume(r role, name string) session {
	s := w.as(r, name, w.now).from(w.ip).using(w.agent)
	w.write(&call{
		api: "sts:AssumeRole", request: fields{"roleArn", r.arn(), "roleSessionName", name},
		response:  w.credentials(r, name, s),
		resources: []fields{{"accountId", accountID, "type", "AWS::IAM::Role", "ARN", r.arn()}},
	})
	return s
}

// credentials is the response of STS.
func (w *work) credentials(r role, name string, s session) fields {
	return fields{
		"credentials", fields{
			"accessKeyId", s.credential, "expiration", w.now.Add(time.Hour).Format("Jan 2, 2006, 3:04:05 PM"),
			"sessionToken", "IQoJb3JpZ2luX2VjEXAMPLE",
		},
		"assumedRoleUser", fields{
			"assumedRoleId", w.id("AROA", r.name) + ":" + name,
			"arn", "arn:aws:sts::" + accountID + ":assumed-role/" + r.name + "/" + name,
		},
	}
}

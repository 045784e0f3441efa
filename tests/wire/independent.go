// A producer and a reader in Go, written from docs/wire.md and the schemas that it names, with the standard
// library alone: the AEAD, Ed25519 and HPKE (crypto/hpke, from Go 1.26) are Go's own.
//
//	go run tests/wire/independent.go tests/wire/vectors.json schemas/olvido/schemas/avsc
//
// It checks every vector and stops at the first that is wrong. Then it writes a request and a consent change of its
// own and prints, as JSON, how many vectors it checked and what it wrote.
package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

const control = "control"

type (
	value    = map[string]any // of an Avro record, by the names of its fields
	identity = [3]string      // kind, value as given, normalised
)

type entry struct { // of a map
	key   string
	value any
}

type vectors struct {
	Keys       map[string]hexed
	Normalised []struct{ Kind, Given, Normalised, Handle string }
	Partitions []struct {
		Key                   string
		Partitions, Partition uint32
	}
	Records map[string]vector
}

type vector struct {
	Record, Header, Signed hexed
	TagData                hexed `json:"tag_data"`
	Asked                  map[string]hexed
	Identities             []identity
}

type hexed []byte

func (h *hexed) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func main() {
	if len(os.Args) != 3 {
		fail("usage: independent VECTORS SCHEMAS")
	}
	var known vectors
	must(0, json.Unmarshal(must(os.ReadFile(os.Args[1])), &known))
	schemas := os.Args[2]
	checked := map[string]int{}
	for _, one := range known.Normalised {
		normalised := normalise(one.Kind, one.Given)
		same("normalised "+one.Kind, normalised, one.Normalised)
		same("handle "+one.Kind, handle(known.Keys["handle"], one.Kind, normalised), one.Handle)
		checked["normalised"]++
	}
	for _, one := range known.Partitions {
		same("partition "+one.Key, partition([]byte(one.Key), one.Partitions), one.Partition)
		checked["partitions"]++
	}
	for kind, one := range known.Records {
		checkRecord(kind, one, known.Keys, schemas)
		checked["records"]++
	}
	written := map[string]string{}
	for _, kind := range []string{"privacy_request", "consent_change"} {
		written[kind] = hex.EncodeToString(writeRecord(kind, known.Keys, schemas))
	}
	written["verification"] = hex.EncodeToString(writeVerification(known.Keys, schemas))
	must(0, json.NewEncoder(os.Stdout).Encode(map[string]any{"checked": checked, "written": written}))
}

// --- a reader ---------------------------------------------------------------------------------------

func checkRecord(kind string, known vector, keys map[string]hexed, schemas string) {
	found := schemaOf(schemas, kind).decode(known.Record)
	seal := found["seal"].(value)
	header := seal["header"].([]byte)
	same(kind+" header", header, []byte(known.Header))
	same(kind+" signed", signed(header), []byte(known.Signed))
	public := ed25519.NewKeyFromSeed(keys["signing"]).Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, signed(header), seal["signature"].([]byte)) {
		fail("%s: signature", kind)
	}
	session := schemaOf(schemas, "session").decode(header)
	same(kind+" version", session["version"], int64(2))
	same(kind+" key id", session["key_id"], keyID(public))
	boxes, _ := found["boxes"].([]any) // a verification, a receipt and a later look have none
	if kind != "task" {
		body := known.Record[len(sealPart(seal)):]
		data := tagData(kind, header, body)
		same(kind+" tag data", data, []byte(known.TagData))
		open(kind+" tag", sessionKey(session, control, keys), seal["nonce"], seal["tag"], data)
	} else {
		boxes = []any{found["box"]}
		same("task id", found["task_id"], taskID(found))
	}
	same(kind+" boxes", len(boxes), len(known.Asked))
	for _, one := range boxes {
		box := one.(value)
		region := box["region"].(string)
		data := askedDigest(header, kind, found, region)
		same(kind+" asked "+region, data, []byte(known.Asked[region]))
		text := open(kind+" box "+region, sessionKey(session, region, keys), box["nonce"], box["ciphertext"], data)
		same(kind+" padding", len(text)%256, 0)
		checkIdentities(kind, text, known.Identities, found["handles"].([]any), keys["handle"])
	}
}

func checkIdentities(kind string, text []byte, known []identity, handles []any, handleKey []byte) {
	var inside struct {
		V          int
		Identities []identity
	}
	must(0, json.Unmarshal(text, &inside))
	same(kind+" version of the box", inside.V, 1)
	same(kind+" identities", inside.Identities, known)
	same(kind+" handles", len(handles), len(known))
	for at, one := range inside.Identities {
		same(kind+" normalised", normalise(one[0], one[1]), one[2])
		same(kind+" handle", handles[at], any(handleOf(handleKey, one)))
	}
}

func sessionKey(session value, region string, keys map[string]hexed) []byte {
	names := []string{}
	var found value
	for _, one := range session["recipients"].([]any) {
		recipient := one.(value)
		names = append(names, recipient["region"].(string))
		if recipient["region"] == region {
			found = recipient
		}
	}
	same("recipients in order, each once", slices.Compact(slices.Sorted(slices.Values(names))), names)
	if found == nil {
		fail("no recipient %s", region)
	}
	private := must(hpke.NewDHKEMPrivateKey(must(ecdh.X25519().NewPrivateKey(keys[region]))))
	wrapped := found["wrapped_key"].([]byte)
	return must(hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info(found["key_id"].(string)), wrapped))
}

func open(what string, key []byte, nonce, sealed any, data []byte) []byte {
	text, err := gcm(key).Open(nil, nonce.([]byte), sealed.([]byte), data)
	if err != nil {
		fail("%s: %v", what, err)
	}
	return text
}

// --- a writer ---------------------------------------------------------------------------------------

func writeRecord(kind string, keys map[string]hexed, schemas string) []byte {
	identities := []identity{{"email", "Zoë@Bücher.example"}, {"customer_id", "C-1"}}
	handles := []any{}
	for at := range identities {
		identities[at][2] = normalise(identities[at][0], identities[at][1])
		handles = append(handles, handleOf(keys["handle"], identities[at]))
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	event := value{
		"seal": nil, "handles": handles, "subject_id": handles[0].(value)["value"], "regions": []any{"sg", "cn"},
	}
	if kind == "privacy_request" {
		event["request_id"], event["right"] = "01935d0e-5b6a-7c3d-8e4f-0123456789ad", "OBJECT"
		event["purposes"], event["requested_at"] = []any{"marketing"}, now.UnixMicro()
		event["verification_required"], event["verified"], event["jurisdiction"] = true, nil, "US-CA"
	} else {
		event["event_id"], event["purpose"] = "01935d0e-5b6a-7c3d-8e4f-0123456789ae", "marketing"
		event["decision"], event["occurred_at"] = "WITHDRAWN", now.UnixMicro()
		event["policy_version"] = "7"
	}
	sessionKeys := map[string][]byte{}
	header := newSession(now, "producer", []string{"cn", control, "sg"}, sessionKeys, keys, schemas)
	boxes := []any{}
	for _, one := range event["regions"].([]any) {
		region, nonce := one.(string), drawn(12)
		data := askedDigest(header, kind, event, region)
		boxes = append(boxes, value{
			"region": region, "key_id": region + "-2026-11", "wrapped_key": []byte{}, "nonce": nonce,
			"ciphertext": gcm(sessionKeys[region]).Seal(nil, nonce, packed(identities), data),
		})
	}
	event["boxes"] = boxes
	return sealed(kind, event, header, sessionKeys[control], keys, schemas)
}

// It is for no region: its session has the control plane alone.
func writeVerification(keys map[string]hexed, schemas string) []byte {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	sessionKeys := map[string][]byte{}
	header := newSession(now, "verifier", []string{control}, sessionKeys, keys, schemas)
	word := value{
		"seal": nil, "event_id": "01935d0e-5b6a-7c3d-8e4f-0123456789af",
		"request_id": "01935d0e-5b6a-7c3d-8e4f-0123456789ad",
		"subject_id": handle(keys["handle"], "email", normalise("email", "Zoë@Bücher.example")),
		"verified":   value{"method": "email_link", "verified_at": now.UnixMicro()},
	}
	return sealed("verification", word, header, sessionKeys[control], keys, schemas)
}

func sealed(
	kind string, record value, header, controlKey []byte, keys map[string]hexed, schemas string,
) []byte {
	body := schemaOf(schemas, kind).encode(record)[1:] // without the seal, which is null yet: one byte
	nonce := drawn(12)
	seal := value{
		"header":    header,
		"signature": ed25519.Sign(ed25519.NewKeyFromSeed(keys["signing"]), signed(header)),
		"nonce":     nonce,
		"tag":       gcm(controlKey).Seal(nil, nonce, nil, tagData(kind, header, body)),
	}
	return append(sealPart(seal), body...)
}

// A header for these names, which stand in their order. The key of each is put into sessionKeys.
func newSession(
	now time.Time, principal string, names []string, sessionKeys map[string][]byte, keys map[string]hexed, schemas string,
) []byte {
	recipients := []any{}
	for _, name := range names {
		sessionKeys[name] = drawn(32)
		public := must(hpke.NewDHKEMPublicKey(must(ecdh.X25519().NewPrivateKey(keys[name])).PublicKey()))
		id := name + "-2026-11"
		wrapped := must(hpke.Seal(public, hpke.HKDFSHA256(), hpke.AES256GCM(), info(id), sessionKeys[name]))
		recipients = append(recipients, value{"region": name, "key_id": id, "wrapped_key": wrapped})
	}
	public := ed25519.NewKeyFromSeed(keys["signing"]).Public().(ed25519.PublicKey)
	return schemaOf(schemas, "session").encode(value{
		"version": int64(2), "principal": principal, "key_id": keyID(public), "not_before": now.UnixMicro(),
		"not_after": now.Add(15 * time.Minute).UnixMicro(), "recipients": recipients,
	})
}

func packed(identities []identity) []byte {
	text := append([]byte(`{"v":1,"identities":`), must(json.Marshal(identities))...)
	text = append(text, '}')
	return append(text, bytes.Repeat([]byte{' '}, (256-len(text)%256)%256)...)
}

// --- what both compute ------------------------------------------------------------------------------

func handleOf(handleKey []byte, one identity) value {
	return value{"kind": strings.ToUpper(one[0]), "value": handle(handleKey, one[0], one[2])}
}

func handle(handleKey []byte, kind, normalised string) string {
	digest := hmac.New(sha256.New, handleKey)
	digest.Write([]byte(kind + "\x00" + normalised))
	return "h1_" + base64.RawURLEncoding.EncodeToString(digest.Sum(nil))
}

func partition(key []byte, partitions uint32) uint32 {
	const m = 0x5bd1e995
	h := 0x9747b28c ^ uint32(len(key))
	for ; len(key) >= 4; key = key[4:] {
		k := binary.LittleEndian.Uint32(key) * m
		h = h*m ^ (k^k>>24)*m
	}
	if len(key) > 0 {
		h = (h ^ binary.LittleEndian.Uint32(append(slices.Clone(key), 0, 0, 0))) * m
	}
	h = (h ^ h>>13) * m
	return (h ^ h>>15) & 0x7fffffff % partitions
}

func keyID(public ed25519.PublicKey) string {
	digest := sha256.Sum256(public)
	return hex.EncodeToString(digest[:8])
}

func info(keyID string) []byte {
	digest := sha256.Sum256([]byte(keyID))
	return append([]byte("olvido/1 session key for "), digest[:]...)
}

func signed(header []byte) []byte {
	return append([]byte("olvido/2 session\x00"), header...)
}

func tagData(kind string, header, body []byte) []byte {
	digest := sha256.Sum256(header)
	return slices.Concat([]byte("olvido/2 "+kind+"\x00"), digest[:], body)
}

func askedDigest(header []byte, kind string, asked value, region string) []byte {
	var source, id, action, at, decision, policy any
	purposes := []any{}
	switch kind {
	case "privacy_request":
		source, id, action, at = "request", asked["request_id"], asked["right"], asked["requested_at"]
		decision, policy = "", ""
		if action == "OBJECT" || action == "WITHDRAW_OBJECTION" {
			purposes = asked["purposes"].([]any)
		}
	case "consent_change":
		source, id, action, at = "consent", asked["event_id"], "CONSENT", asked["occurred_at"]
		decision, policy, purposes = asked["decision"], asked["policy_version"], []any{asked["purpose"]}
	case "task":
		source, id, action, at = "request", asked["request_id"], asked["action"], asked["occurred_at"]
		decision, policy, purposes = "", asked["policy_version"], asked["purposes"].([]any)
		if action == "CONSENT" {
			source, id, decision = "consent", asked["event_id"], asked["decision"]
		}
	}
	digest := sha256.Sum256(header)
	items := []any{digest[:], source, id, action, at, decision, policy, asked["subject_id"], len(purposes)}
	items = append(items, purposes...)
	handles := asked["handles"].([]any)
	items = append(items, len(handles))
	for _, one := range handles {
		items = append(items, one.(value)["kind"], one.(value)["value"])
	}
	out := []byte("olvido/2 asked\x00")
	for _, item := range append(items, region) {
		data, is := item.([]byte)
		if !is {
			data = fmt.Append(nil, item)
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(data))), data...)
	}
	digest = sha256.Sum256(out)
	return digest[:]
}

func taskID(task value) string {
	id := task["request_id"]
	if id == nil {
		id = task["event_id"]
	}
	namespace := must(hex.DecodeString("6f6c7669646f50008000000000000001"))
	name := fmt.Sprintf("task/%s/%s/%s", id, task["sink"], task["action"])
	digest := sha1.Sum(append(namespace, name...))
	digest[6], digest[8] = digest[6]&0x0f|0x50, digest[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", digest[:4], digest[4:6], digest[6:8], digest[8:10], digest[10:16])
}

func gcm(key []byte) cipher.AEAD {
	return must(cipher.NewGCM(must(aes.NewCipher(key))))
}

func drawn(size int) []byte {
	out := make([]byte, size)
	rand.Read(out) // ends the process where there is no randomness
	return out
}

// --- the normalised form ----------------------------------------------------------------------------

// The normalised form of an identity of Latin-1. The standard library has neither NFC nor UTS 46: up to U+00FF
// the first is a small table, the second is lower case and Punycode. What is beyond is refused, never guessed.
func normalise(kind, given string) string {
	text := composed(strings.TrimSpace(given))
	for _, r := range text {
		if r > unicode.MaxLatin1 || unicode.Is(unicode.C, r) {
			fail("%s: not of Latin-1, or a control or format character", kind)
		}
	}
	switch kind {
	case "email":
		at := strings.LastIndex(text, "@")
		if at < 1 || strings.ContainsFunc(text, unicode.IsSpace) {
			fail("email: not local@domain")
		}
		domain := strings.TrimSuffix(strings.ToLower(text[at+1:]), ".")
		labels := strings.Split(domain, ".")
		for n, label := range labels {
			labels[n] = asciiLabel(label)
		}
		return strings.ToLower(text[:at]) + "@" + strings.Join(labels, ".")
	case "phone":
		return e164(text)
	}
	if text == "" || strings.ContainsFunc(text, unicode.IsSpace) {
		fail("%s: empty, or with white space", kind)
	}
	return text
}

// By combining mark, each letter of ASCII and what it is with this mark.
var marked = map[rune]string{
	'\u0300': "AÀEÈIÌOÒUÙaàeèiìoòuù",
	'\u0301': "AÁEÉIÍOÓUÚYÝaáeéiíoóuúyý",
	'\u0302': "AÂEÊIÎOÔUÛaâeêiîoôuû",
	'\u0303': "AÃNÑOÕaãnñoõ",
	'\u0308': "AÄEËIÏOÖUÜaäeëiïoöuüyÿ",
	'\u030a': "AÅaå",
	'\u0327': "CÇcç",
}

// The text in NFC, where that is of Latin-1; a mark that makes another letter stays, and is refused.
func composed(text string) string {
	out := []rune{}
	for _, mark := range text {
		pairs := []rune(marked[mark])
		for at := 0; at < len(pairs) && len(out) > 0; at += 2 {
			if out[len(out)-1] == pairs[at] {
				out, mark = out[:len(out)-1], pairs[at+1]
				break
			}
		}
		out = append(out, mark)
	}
	return string(out)
}

var (
	phone       = regexp.MustCompile(`^(?i:tel:)?\s*\+[\d\s.-]*\d$`)
	notADigit   = regexp.MustCompile(`\D`)
	oldMexican  = regexp.MustCompile(`^521(\d{10})$`)
	argentinian = regexp.MustCompile(`^54([1-3]\d{9})$`)
)

func e164(text string) string {
	if !phone.MatchString(text) {
		fail("phone: not an international number")
	}
	digits := notADigit.ReplaceAllString(text, "")
	digits = oldMexican.ReplaceAllString(digits, "52$1")
	return "+" + argentinian.ReplaceAllString(digits, "549$1")
}

// A label of letters, digits and hyphens as DNS has it: Punycode (RFC 3492) where it is not ASCII.
func asciiLabel(label string) string {
	runes, out := []rune(label), []byte{}
	for _, r := range runes {
		if r != '-' && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			fail("email: a domain with U+%04X", r)
		}
		if r < 0x80 {
			out = append(out, byte(r))
		}
	}
	basic := len(out)
	if basic == len(runes) {
		return label
	}
	if basic > 0 {
		out = append(out, '-')
	}
	n, delta, bias := rune(0x80), 0, 72
	for done := basic; done < len(runes); {
		next := rune(unicode.MaxRune)
		for _, r := range runes {
			if r >= n {
				next = min(next, r)
			}
		}
		delta, n = delta+int(next-n)*(done+1), next
		for _, r := range runes {
			if r < n {
				delta++
			}
			if r == n {
				out = appendPunycode(out, delta, bias)
				bias = adapted(delta, done+1, done == basic)
				delta, done = 0, done+1
			}
		}
		delta, n = delta+1, n+1
	}
	return "xn--" + string(out)
}

func appendPunycode(out []byte, q, bias int) []byte {
	const digits = "abcdefghijklmnopqrstuvwxyz0123456789"
	for k := 36; ; k += 36 {
		t := min(max(k-bias, 1), 26)
		if q < t {
			return append(out, digits[q])
		}
		out, q = append(out, digits[t+(q-t)%(36-t)]), (q-t)/(36-t)
	}
}

func adapted(delta, points int, first bool) int {
	if delta /= 2; first {
		delta /= 350 // 700 in all
	}
	k := 0
	for delta += delta / points; delta > 455; k += 36 {
		delta /= 35
	}
	return k + 36*delta/(delta+38)
}

// --- Avro -------------------------------------------------------------------------------------------

// A schema with the names that it defines.
type schema struct {
	root  any
	named map[string]any
}

func schemaOf(folder, name string) schema {
	made := schema{named: map[string]any{}}
	must(0, json.Unmarshal(must(os.ReadFile(filepath.Join(folder, name+".avsc"))), &made.root))
	return made
}

// The value of a record in the one written form: encoded again it is the same bytes.
func (s schema) decode(data []byte) value {
	rest := data
	found := s.read(&rest, s.root).(value)
	same("written form", s.encode(found), data)
	return found
}

func (s schema) encode(record value) []byte {
	return s.append(nil, s.root, record)
}

// The type's own name, and what a record, an enum, an array or a logical type says further.
func (s schema) typeOf(of any) (string, map[string]any) {
	switch of := of.(type) {
	case string:
		if known, is := s.named[of].(map[string]any); is {
			return known["type"].(string), known
		}
		return of, nil
	case map[string]any:
		if name, is := of["name"].(string); is {
			s.named[name] = of
		}
		return of["type"].(string), of
	case []any: // null and one more, in this order: no schema has another
		same("union", of[0], any("null"))
		same("members of a union", len(of), 2)
		return "union", map[string]any{"of": of[1]}
	}
	fail("schema: %T", of)
	return "", nil
}

func (s schema) read(rest *[]byte, of any) any {
	name, more := s.typeOf(of)
	switch name {
	case "record":
		found := value{}
		for _, field := range more["fields"].([]any) {
			field := field.(map[string]any)
			found[field["name"].(string)] = s.read(rest, field["type"])
		}
		return found
	case "array":
		found := []any{}
		for left := number(rest); left > 0; left-- {
			found = append(found, s.read(rest, more["items"]))
			if left == 1 {
				same("end of an array", number(rest), int64(0))
			}
		}
		return found
	case "map": // in the order in which it is written
		found := []entry{}
		for left := number(rest); left > 0; left-- {
			key := text(taken(rest, number(rest)), false)
			if slices.ContainsFunc(found, func(one entry) bool { return one.key == key }) {
				fail("%s: twice in a map", key)
			}
			found = append(found, entry{key, s.read(rest, more["values"])})
			if left == 1 {
				same("end of a map", number(rest), int64(0))
			}
		}
		return found
	case "union":
		if member := number(rest); member == 0 {
			return nil
		} else if member != 1 {
			fail("member %d of a union", member)
		}
		return s.read(rest, more["of"])
	case "enum":
		symbols, at := more["symbols"].([]any), number(rest)
		if at < 0 || at >= int64(len(symbols)) {
			fail("symbol %d", at)
		}
		return symbols[at]
	case "boolean":
		return taken(rest, 1)[0] != 0
	case "int", "long":
		found := number(rest)
		if more["logicalType"] == "timestamp-micros" && time.UnixMicro(found).UTC().Year() < 2000 {
			fail("an instant before 2000")
		}
		return found
	case "bytes":
		return taken(rest, number(rest))
	case "string":
		return text(taken(rest, number(rest)), more["logicalType"] == "uuid")
	}
	fail("type %s", name)
	return nil
}

func (s schema) append(out []byte, of, given any) []byte {
	name, more := s.typeOf(of)
	switch name {
	case "record":
		for _, field := range more["fields"].([]any) {
			field := field.(map[string]any)
			out = s.append(out, field["type"], given.(value)[field["name"].(string)])
		}
		return out
	case "array":
		items := given.([]any)
		if len(items) == 0 {
			return append(out, 0)
		}
		out = binary.AppendVarint(out, int64(len(items)))
		for _, item := range items {
			out = s.append(out, more["items"], item)
		}
		return append(out, 0)
	case "map":
		entries := given.([]entry)
		if len(entries) == 0 {
			return append(out, 0)
		}
		out = binary.AppendVarint(out, int64(len(entries)))
		for _, one := range entries {
			out = s.append(appendBytes(out, []byte(one.key)), more["values"], one.value)
		}
		return append(out, 0)
	case "union":
		if given == nil {
			return append(out, 0)
		}
		return s.append(append(out, 2), more["of"], given)
	case "enum":
		return binary.AppendVarint(out, int64(slices.Index(more["symbols"].([]any), given)))
	case "boolean":
		if given.(bool) {
			return append(out, 1)
		}
		return append(out, 0)
	case "int", "long":
		return binary.AppendVarint(out, given.(int64)) // Go's zigzag is Avro's
	case "bytes":
		return appendBytes(out, given.([]byte))
	case "string":
		return appendBytes(out, []byte(given.(string)))
	}
	fail("type %s", name)
	return nil
}

// The first field of a record: the second member of its union, and four byte strings.
func sealPart(seal value) []byte {
	out := []byte{2}
	for _, name := range []string{"header", "signature", "nonce", "tag"} {
		out = appendBytes(out, seal[name].([]byte))
	}
	return out
}

func appendBytes(out, given []byte) []byte {
	return append(binary.AppendVarint(out, int64(len(given))), given...)
}

func number(rest *[]byte) int64 {
	found, size := binary.Varint(*rest)
	if size <= 0 {
		fail("a number without an end")
	}
	*rest = (*rest)[size:]
	return found
}

func taken(rest *[]byte, size int64) []byte {
	if size < 0 || size > int64(len(*rest)) {
		fail("%d bytes where %d are left", size, len(*rest))
	}
	found := (*rest)[:size]
	*rest = (*rest)[size:]
	return found
}

var uuid = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

func text(data []byte, isUUID bool) string {
	if !utf8.Valid(data) || bytes.IndexByte(data, 0) >= 0 || isUUID && !uuid.Match(data) {
		fail("a text that is no UTF-8, has U+0000, or is no UUID")
	}
	return string(data)
}

// --- how it stops -----------------------------------------------------------------------------------

func same(what string, found, wanted any) {
	if !reflect.DeepEqual(found, wanted) {
		fail("%s: %s, not %s", what, shown(found), shown(wanted))
	}
}

func shown(one any) string {
	if data, is := one.([]byte); is {
		return hex.EncodeToString(data)
	}
	return strconv.Quote(fmt.Sprint(one))
}

func must[T any](found T, err error) T {
	if err != nil {
		fail("%v", err)
	}
	return found
}

func fail(form string, parts ...any) {
	fmt.Fprintf(os.Stderr, form+"\n", parts...)
	os.Exit(1)
}

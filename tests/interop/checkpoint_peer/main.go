// Reads a checkpoint with Go's own implementation of signed notes and of hash trees (the one that
// serves Go's module checksums), and answers what it holds.
//
// Cosignatures are checked here after the text of C2SP's tlog-cosignature alone.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
	at   uint64
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }
func (c *cosigner) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	c.at = binary.BigEndian.Uint64(sig)
	text := fmt.Sprintf("cosignature/v1\ntime %d\n%s", c.at, msg)
	return ed25519.Verify(c.key, []byte(text), sig[8:])
}

type question struct {
	Note      string   `json:"note"`
	Log       string   `json:"log"`
	Witnesses []string `json:"witnesses"`
	// Hashes of blocks (base64) that the tree is over, and proofs about it.
	Leaf        string   `json:"leaf"`
	Index       int64    `json:"index"`
	Inclusion   []string `json:"inclusion"`
	OldSize     int64    `json:"old_size"`
	OldRoot     string   `json:"old_root"`
	Consistency []string `json:"consistency"`
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func hash(text string) (h tlog.Hash) {
	data, err := base64.StdEncoding.DecodeString(text)
	fail(err)
	copy(h[:], data)
	return
}

func hashes(texts []string) (found []tlog.Hash) {
	for _, text := range texts {
		found = append(found, hash(text))
	}
	return
}

func main() {
	var q question
	fail(json.NewDecoder(os.Stdin).Decode(&q))
	log, err := note.NewVerifier(q.Log)
	fail(err)
	known := []note.Verifier{log}
	var cosigners []*cosigner
	for _, vkey := range q.Witnesses {
		parts := strings.SplitN(vkey, "+", 3)
		id, err := base64.StdEncoding.DecodeString(parts[2])
		fail(err)
		var number uint32
		_, err = fmt.Sscanf(parts[1], "%08x", &number)
		fail(err)
		if id[0] != 4 {
			fail(fmt.Errorf("not a cosigner's key"))
		}
		one := &cosigner{parts[0], number, ed25519.PublicKey(id[1:]), 0}
		cosigners = append(cosigners, one)
		known = append(known, one)
	}
	opened, err := note.Open([]byte(q.Note), note.VerifierList(known...))
	fail(err)
	var origin, root string
	var size int64
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 {
		fail(fmt.Errorf("not three lines"))
	}
	origin, root = lines[0], lines[2]
	_, err = fmt.Sscanf(lines[1], "%d", &size)
	fail(err)
	fail(tlog.CheckRecord(hashes(q.Inclusion), size, hash(root), q.Index, hash(q.Leaf)))
	fail(tlog.CheckTree(hashes(q.Consistency), size, hash(root), q.OldSize, hash(q.OldRoot)))
	var times []uint64
	for _, one := range cosigners {
		times = append(times, one.at)
	}
	fail(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"origin": origin, "size": size, "signatures": len(opened.Sigs),
		"unverified": len(opened.UnverifiedSigs), "times": times,
	}))
}

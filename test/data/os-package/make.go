// Makes the OS packages of this directory with Go's archive/zip, encoding/json and crypto/x509, which are what stmgr makes
// them with, and judges them by crypto/x509 and crypto/ed25519, which are what stboot judges them by.
package main

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"sort"
	"strings"
	"time"
)

type manifest struct {
	Version       int    `json:"version"`
	Label         string `json:"label"`
	KernelPath    string `json:"kernel"`
	InitramfsPath string `json:"initramfs"`
	Cmdline       string `json:"cmdline"`
}

type descriptor struct {
	Version      int      `json:"version"`
	PkgURL       string   `json:"os_pkg_url"`
	Certificates [][]byte `json:"certificates"`
	Signatures   [][]byte `json:"signatures"`
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func day(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

// Test keys: their secret half is their name.
func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("throwaway test key " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

type identity struct {
	key  crypto.Signer
	cert *x509.Certificate
}

type wish struct {
	key      crypto.Signer
	issuer   *identity // nil: a root
	from, to int
	nameless bool // as stmgr made them before 0.5.2
	serial   int64
	extended []x509.ExtKeyUsage
	usage    x509.KeyUsage // zero: as stmgr, digitalSignature
}

func issue(w wish) *identity {
	template := x509.Certificate{
		SerialNumber: big.NewInt(w.serial),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		NotBefore:    day(w.from),
		NotAfter:     day(w.to),
		ExtKeyUsage:  w.extended,
	}
	if w.usage != 0 {
		template.KeyUsage = w.usage
	}
	if !w.nameless {
		spki := must(x509.MarshalPKIXPublicKey(w.key.Public()))
		hash := sha256.Sum256(spki)
		template.Subject = pkix.Name{CommonName: hex.EncodeToString(hash[:])}
	}
	parent, signer := &template, w.key
	if w.issuer == nil {
		template.KeyUsage |= x509.KeyUsageCertSign
		template.BasicConstraintsValid = true
		template.IsCA = true
	} else {
		parent, signer = w.issuer.cert, w.issuer.key
	}
	der := must(x509.CreateCertificate(rand.Reader, &template, parent, w.key.Public(), signer))
	return &identity{w.key, must(x509.ParseCertificate(der))}
}

func pemOf(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func archive(kernel, initramfs []byte, m manifest) []byte {
	var buffer bytes.Buffer
	w := zip.NewWriter(&buffer)
	must(w.Create("boot/"))
	add := func(name string, content []byte) { must(must(w.Create(name)).Write(content)) }
	add(m.KernelPath, kernel)
	add(m.InitramfsPath, initramfs)
	add("manifest.json", must(json.MarshalIndent(m, "", "  ")))
	check(w.Close())
	return buffer.Bytes()
}

func (d *descriptor) sign(archive []byte, by ...*identity) *descriptor {
	hash := sha256.Sum256(archive)
	for _, each := range by {
		d.Certificates = append(d.Certificates, pemOf(each.cert))
		// Ed25519 takes what it is given as the message; ECDSA takes it as the digest.
		options := crypto.SignerOpts(crypto.Hash(0))
		if _, isEcdsa := each.key.(*ecdsa.PrivateKey); isEcdsa {
			options = crypto.SHA256
		}
		d.Signatures = append(d.Signatures, must(each.key.Sign(rand.Reader, hash[:], options)))
	}
	return d
}

func fresh() *descriptor {
	return &descriptor{Version: 1, PkgURL: "https://example.org/os/acme-1.2.zip"}
}

// As stboot counts: a certificate that is not a duplicate, that a root issued, and whose Ed25519 key signed the SHA-256.
func judge(d *descriptor, archive []byte, root *x509.Certificate, now time.Time) string {
	hash := sha256.Sum256(archive)
	roots := x509.NewCertPool()
	roots.AddCert(root)
	valid := 0
	used := []*x509.Certificate{}
next:
	for i, signature := range d.Signatures {
		der := d.Certificates[i]
		if block, _ := pem.Decode(der); block != nil {
			der = block.Bytes
		}
		cert := must(x509.ParseCertificate(der))
		options := x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		if _, err := cert.Verify(options); err != nil {
			continue
		}
		for _, other := range used {
			if other.Equal(cert) {
				continue next
			}
		}
		used = append(used, cert)
		public, isEd25519 := cert.PublicKey.(ed25519.PublicKey)
		if isEd25519 && ed25519.Verify(public, hash[:], signature) {
			valid++
		}
	}
	return fmt.Sprintf("%d of %d", valid, len(d.Signatures))
}

func main() {
	kernel := must(os.ReadFile(os.Args[1]))
	initramfs := []byte(strings.Repeat("an initramfs would be here\n", 40))
	label := manifest{1, "Acme OS 1.2", "boot/vmlinuz-6.1.0", "boot/initrd.img-6.1.0", "console=ttyS0,115200n8 ro  quiet"}
	acme := archive(kernel, initramfs, label)
	check(os.WriteFile("acme-1.2.zip", acme, 0o644))

	root := issue(wish{key: key("root"), from: 2025, to: 2045, serial: 1})
	foreign := issue(wish{key: key("foreign"), from: 2025, to: 2045, serial: 2})
	nameless := issue(wish{key: key("nameless"), from: 2025, to: 2045, serial: 3, nameless: true})
	d := new(big.Int).SetBytes(key("ec root").Seed())
	ec := &ecdsa.PrivateKey{D: d}
	ec.Curve = elliptic.P256()
	ec.X, ec.Y = ec.Curve.ScalarBaseMult(d.Bytes())
	ecRoot := issue(wish{key: ec, from: 2025, to: 2045, serial: 4})
	for name, each := range map[string]*identity{"root": root, "foreign": foreign, "nameless": nameless, "ec-root": ecRoot} {
		check(os.WriteFile(name+".pem", pemOf(each.cert), 0o644))
	}

	alice := issue(wish{key: key("alice"), issuer: root, from: 2025, to: 2045, serial: 11})
	bob := issue(wish{key: key("bob"), issuer: root, from: 2025, to: 2045, serial: 12})
	renewed := issue(wish{key: key("alice"), issuer: root, from: 2025, to: 2045, serial: 13})
	expired := issue(wish{key: key("expired"), issuer: root, from: 2020, to: 2021, serial: 14})
	future := issue(wish{key: key("future"), issuer: root, from: 2040, to: 2045, serial: 15})
	mallory := issue(wish{key: key("mallory"), issuer: foreign, from: 2025, to: 2045, serial: 16})
	below := issue(wish{key: key("below"), issuer: alice, from: 2025, to: 2045, serial: 17})
	old1 := issue(wish{key: key("old 1"), issuer: nameless, from: 2025, to: 2045, serial: 18, nameless: true})
	old2 := issue(wish{key: key("old 2"), issuer: nameless, from: 2025, to: 2045, serial: 19, nameless: true})
	mixed := issue(wish{key: key("mixed"), issuer: ecRoot, from: 2025, to: 2045, serial: 20})
	web := issue(wish{key: key("web"), issuer: root, from: 2025, to: 2045, serial: 22, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	code := issue(wish{key: key("code"), issuer: root, from: 2025, to: 2045, serial: 23, extended: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}})
	crypt := issue(wish{key: key("crypt"), issuer: root, from: 2025, to: 2045, serial: 24, usage: x509.KeyUsageKeyEncipherment})
	ecLeaf := issue(wish{key: ec, issuer: root, from: 2025, to: 2045, serial: 21})

	names := map[string]string{}
	for name, each := range map[string]*identity{
		"root": root, "foreign": foreign, "ec-root": ecRoot, "alice": alice, "bob": bob, "expired": expired, "future": future,
		"mallory": mallory, "below": below, "mixed": mixed, "web": web, "code": code, "crypt": crypt,
	} {
		names[each.cert.Subject.CommonName] = name
	}
	check(os.WriteFile("names.json", must(json.MarshalIndent(names, "", "  ")), 0o644))

	der := fresh().sign(acme, alice)
	der.Certificates[0] = alice.cert.Raw
	proof := fresh().sign(acme, alice)
	proof.Signatures[0] = []byte("version=1\nlog=" + strings.Repeat("0", 64) + "\nleaf=0000 " + strings.Repeat("0", 128) + "\n")
	whole := fresh().sign(acme, alice)
	whole.Signatures[0] = ed25519.Sign(key("alice"), acme)
	zipped := map[string]*descriptor{
		"acme-1.2":      fresh().sign(acme, alice, bob),
		"der":           der,
		"by-root":       fresh().sign(acme, root, alice),
		"twice":         fresh().sign(acme, alice, alice),
		"same-key":      fresh().sign(acme, alice, renewed),
		"expired":       fresh().sign(acme, expired),
		"future":        fresh().sign(acme, future),
		"foreign":       fresh().sign(acme, mallory, bob),
		"below-leaf":    fresh().sign(acme, below),
		"nameless":      fresh().sign(acme, old1, old2),
		"mixed":         fresh().sign(acme, mixed),
		"web":           fresh().sign(acme, web),
		"code":          fresh().sign(acme, code),
		"crypt":         fresh().sign(acme, crypt),
		"ecdsa":         fresh().sign(acme, ecLeaf),
		"sigsum":        proof,
		"whole":         whole,
		"other-archive": fresh().sign(acme[1:], alice),
		"unsigned":      fresh(),
	}
	roots := map[string]*identity{"nameless": nameless, "mixed": ecRoot}
	lines := []string{}
	for name, each := range zipped {
		check(os.WriteFile(name+".json", must(json.MarshalIndent(each, "", "  ")), 0o644))
		by := root
		if roots[name] != nil {
			by = roots[name]
		}
		lines = append(lines, fmt.Sprintf("%s: %s", name, judge(each, acme, by.cert, day(2026))))
	}
	sort.Strings(lines)
	check(os.WriteFile("judged.txt", []byte(strings.Join(lines, "\n")+"\n"), 0o644))

	// For archives of other tools: the same files, and descriptors where those are.
	check(os.MkdirAll(os.Args[2]+"/boot", 0o755))
	check(os.WriteFile(os.Args[2]+"/boot/vmlinuz", kernel, 0o644))
	check(os.WriteFile(os.Args[2]+"/boot/initrd.img", initramfs, 0o644))
	label.Label, label.KernelPath, label.InitramfsPath = "", "boot/vmlinuz", "boot/initrd.img"
	check(os.WriteFile(os.Args[2]+"/manifest.json", must(json.Marshal(label)), 0o644))
}

// The calls that the toolkit's clients make, by hand.
import crypto from "node:crypto"
import zlib from "node:zlib"

const results = process.env.ACTIONS_RESULTS_URL
const token = process.env.ACTIONS_RUNTIME_TOKEN ?? ""

const check = (holds, what) => {
    if (!holds) {
        console.log(`FAILED ${what}`)
        process.exit(1)
    }
}

const sha256 = bytes => crypto.createHash("sha256").update(bytes).digest("hex")

// The ids that stand in the token.
const [, run, job] = token
    ? JSON.parse(Buffer.from(token.split(".")[1], "base64url")).scp.split(":")
    : []
const ids = { workflow_run_backend_id: run, workflow_job_run_backend_id: job }

const rpc = (service, method, body) =>
    fetch(new URL(`/twirp/github.actions.results.api.v1.${service}/${method}`, results), {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
    })

const ok = async answer => {
    const response = await answer
    const text = await response.text()
    check(response.status === 200, `${response.status} ${text}`)
    return JSON.parse(text)
}

// Blocks of their own ids, some of them at once, and then their list.
const put = async (url, bytes, size = 2500) => {
    const blocks = []
    const sending = []
    for (let at = 0; at < bytes.length; at += size) {
        const id = Buffer.from(String(at).padStart(8, "0")).toString("base64")
        blocks.push(id)
        sending.push(fetch(`${url}&comp=block&blockid=${encodeURIComponent(id)}`, {
            method: "PUT",
            body: bytes.subarray(at, at + size),
        }))
    }
    for (const sent of await Promise.all(sending)) check(sent.status === 201, `a block: ${sent.status}`)
    const list = blocks.map(id => `<Latest>${id}</Latest>`).join("")
    const committed = await fetch(`${url}&comp=blocklist`, {
        method: "PUT",
        headers: { "content-type": "application/xml" },
        body: `<?xml version="1.0" encoding="utf-8"?><BlockList>${list}</BlockList>`,
    })
    check(committed.status === 201, `the list of blocks: ${committed.status}`)
}

const upload = async (name, bytes, size) => {
    const made = await ok(rpc("ArtifactService", "CreateArtifact", { ...ids, name, version: 4 }))
    await put(made.signed_upload_url, bytes, size)
    const body = { ...ids, name, size: String(bytes.length), hash: `sha256:${sha256(bytes)}` }
    const kept = await ok(rpc("ArtifactService", "FinalizeArtifact", body))
    check(kept.ok && Number(kept.artifact_id) > 0, JSON.stringify(kept))
}

// A ZIP archive of small files, deflated.
const archive = files => {
    const crc = bytes => {
        let sum = ~0
        for (const byte of bytes) {
            sum ^= byte
            for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1))
        }
        return ~sum >>> 0
    }
    const locals = []
    const centrals = []
    let at = 0
    for (const [name, text] of files) {
        const [plain, title] = [Buffer.from(text), Buffer.from(name)]
        const packed = zlib.deflateRawSync(plain)
        const fields = Buffer.alloc(26)
        fields.writeUInt16LE(20, 0)
        fields.writeUInt16LE(8, 4)
        fields.writeUInt32LE(crc(plain), 10)
        fields.writeUInt32LE(packed.length, 14)
        fields.writeUInt32LE(plain.length, 18)
        fields.writeUInt16LE(title.length, 22)
        const local = Buffer.concat([Buffer.from([0x50, 0x4b, 3, 4]), fields, title, packed])
        const rest = Buffer.alloc(14)
        rest.writeUInt32LE(at, 10)
        centrals.push(Buffer.concat([Buffer.from([0x50, 0x4b, 1, 2, 20, 0]), fields, rest, title]))
        locals.push(local)
        at += local.length
    }
    const central = Buffer.concat(centrals)
    const end = Buffer.alloc(22)
    end.writeUInt32LE(0x06054b50, 0)
    end.writeUInt16LE(files.length, 8)
    end.writeUInt16LE(files.length, 10)
    end.writeUInt32LE(central.length, 12)
    end.writeUInt32LE(at, 16)
    return Buffer.concat([...locals, central, end])
}

// Uploads a file with tus-js-client; see tus_client.py. What it is to do comes as JSON in TUS_WANTED, what became of it
// goes as JSON into the file "told".
const fs = require("fs");
const tus = require("tus-js-client");

const wanted = JSON.parse(process.env.TUS_WANTED);
const told = { outcome: "none", patches: 0, image: "", url: "", began_at: -1 };

function end(outcome) {
    told.outcome = outcome;
    told.url = upload.url;
    fs.writeFileSync(wanted.told, JSON.stringify(told));
    process.exit(0);
}

const upload = new tus.Upload(fs.createReadStream(wanted.source), {
    endpoint: wanted.url,
    uploadUrl: wanted.resume || null,
    uploadSize: fs.statSync(wanted.source).size,
    chunkSize: wanted.chunk,
    retryDelays: [100, 300, 1000],
    headers: { Authorization: `Bearer ${wanted.token}` },
    metadata: { filename: "photo.png", filetype: "image/png" },
    onBeforeRequest(request) {
        if (request.getMethod() !== "PATCH") return;
        ++told.patches;
        if (told.began_at < 0) told.began_at = Number(request.getHeader("Upload-Offset"));
    },
    onAfterResponse(request, response) {
        told.image = response.getHeader("Upload-Image") || told.image;
    },
    onChunkComplete(size, accepted) {
        if (wanted.stopAfter > 0 && accepted >= wanted.stopAfter) end("interrupted");
    },
    onSuccess() {
        end("success");
    },
    onError(error) {
        end(`error: ${error}`);
    },
});
upload.start();

// sharp's side of bench/variants: the same commands as variants_bench.cpp. "together" makes no difference: each variant is
// made from the file, as programs with sharp do.
//
//     node sharp_side.mjs FOLDER_WITH_SHARP WORKERS equal|fast
//
// "equal" leaves as much of a JPEG for the filter as libvips and tidepool do, twice the wanted size; "fast" is sharp's
// default, which lets libjpeg shrink it further at the price of moiré.
import {writeFileSync} from "node:fs";
import {createRequire} from "node:module";
import {createInterface} from "node:readline";

const sharp = createRequire(`${process.argv[2]}/package.json`)("sharp");
const workers = Number(process.argv[3]);
const fastShrinkOnLoad = process.argv[4] === "fast";
sharp.cache(false);
sharp.concurrency(1);

// The same as tidepool's recipes: sRGB, upright, 4:2:0, no metadata.
const encoders = {
    webp: (image, quality, effort) => image.webp({quality, effort}),
    avif: (image, quality, effort) => image.avif({quality, effort, chromaSubsampling: "4:2:0"}),
    jpeg: (image, quality) => image.jpeg({quality, chromaSubsampling: "4:2:0", optimizeCoding: true}),
};

async function make(file, recipe) {
    const [format, width, quality, effort] = recipe.split(":");
    const image = sharp(file).autoOrient().resize({
        width: Number(width), withoutEnlargement: true, fastShrinkOnLoad,
    });
    return encoders[format](image, Number(quality), Number(effort)).toBuffer();
}

async function run(count, saveAs, recipes, files) {
    const began = process.hrtime.bigint();
    let next = 0, variants = 0, bytes = 0;
    const work = async () => {
        while (next < count) {
            const number = next++;
            for (const [index, recipe] of recipes.entries()) {
                const made = await make(files[number % files.length], recipe);
                variants += 1;
                bytes += made.length;
                if (saveAs !== "-" && number < files.length) writeFileSync(`${saveAs}-${number}-${index}`, made);
            }
        }
    };
    await Promise.all(Array.from({length: workers}, work));
    console.log(`done ${variants} ${bytes} ${(Number(process.hrtime.bigint() - began) / 1e9).toFixed(4)}`);
}

if (workers === 0) {
    console.log(JSON.stringify(sharp.versions));
} else {
    console.log("ready");
    for await (const line of createInterface({input: process.stdin})) {
        const [, count, , saveAs, recipes, ...files] = line.trim().split(" ");
        await run(Number(count), saveAs, recipes.split(","), files);
    }
}

#!/usr/bin/env bash
# Writes the golden videos of FaceShardsTests: a procedural face that moves, real and forged, and masks.
#
#   Tests/Oracle/face_videos.sh RFM FOLDER
#
# RFM is the program; ffmpeg encodes.
set -euo pipefail
rfm=$1 folder=$2
frames=$(mktemp -d)
trap 'rm -rf -- "$frames"' EXIT
"$rfm" synthesize --output "$frames/all" --videos 2 --video-methods 1 --frames 12 --size 192 --seed 4
encode() {
  ffmpeg -nostdin -v error -y -f image2pipe -framerate 25 -c:v "$1" -i "$2" ${4:-} -c:v libx264 \
    -crf 26 -pix_fmt yuv420p -bitexact -fflags +bitexact -flags:v +bitexact "$folder/$3"
}
method=$(basename "$(dirname "$(find "$frames/all" -name '000_001.ppm')")")
encode ppm "$frames/all/original/000.ppm" real.mp4
encode ppm "$frames/all/$method/000_001.ppm" fake.mp4
encode pgm "$frames/all/$method/masks/000_001.pgm" mask.mp4
encode pgm "$frames/all/$method/masks/000_001.pgm" short-mask.mp4 "-frames:v 9"

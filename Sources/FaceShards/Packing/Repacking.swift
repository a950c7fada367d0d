/// How a shard whose chunks hold many images is stored one image a chunk.
extension Shard {
  /// The command that does it, in place; `nil` where every image and mask can be read by itself.
  public var repacking: String? {
    var layouts: [String] = []
    if imagesUnpackedTogether > 1 { layouts.append("-l images:CHUNK=1x\(height)x\(width)x3") }
    if masksUnpackedTogether > 1 {
      layouts.append("-l masks:CHUNK=1x\(height)x\(width)" + (facts.masksHaveFourAxes ? "x1" : ""))
    }
    if layouts.isEmpty { return nil }
    // Under a name that no pattern of shards matches.
    let (old, new) = (shellWord(path), shellWord(path + ".new"))
    return "h5repack \(layouts.joined(separator: " ")) \(old) \(new) && mv \(new) \(old)"
  }

  /// What reading an image in random order costs; `nil` where it costs nothing more.
  var unpackingInWords: String? {
    let counts = [(imagesUnpackedTogether, "images"), (masksUnpackedTogether, "masks")]
      .filter { $0.0 > 1 }.map { "\(min($0.0, max(count, 1))) \($0.1)" }
    if counts.isEmpty { return nil }
    return counts.joined(separator: " and ") + " are unpacked to read one, as a chunk holds so many"
  }
}

extension ShardSet {
  /// That images can't be read by themselves, and what to do, in one line; `nil` if all can.
  public var packedChunksWarning: String? {
    let packed = shards.filter { $0.imagesUnpackedTogether > 1 && $0.count > 1 }
    guard let first = packed.first, let cost = first.unpackingInWords, let command = first.repacking
    else { return nil }
    let others =
      packed.count == 1
      ? "" : " (and \(packed.count - 1) other shard\(packed.count == 2 ? "" : "s") like it)"
    let size = packed.reduce(0) { $0 + $1.count * imageSize }
    let room = UnpackedRows.room
    let effect =
      size <= room
      ? "they are kept unpacked, in \(max(1, size >> 20)) MiB of memory a rank"
      : "of \(size >> 20) MiB only \(room >> 20) MiB are kept unpacked, so reading in random order is "
        + "slow"
    return "\(first.path)\(others): \(cost); \(effect); to store one image a chunk: \(command)"
  }
}

/// `text` as one word of a shell.
private func shellWord(_ text: String) -> String {
  let plain = text.unicodeScalars.allSatisfy {
    $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil)
      || "/._-+=:,@%".unicodeScalars.contains($0)
  }
  return plain && !text.isEmpty ? text : "'" + text.replacing("'", with: "'\\''") + "'"
}

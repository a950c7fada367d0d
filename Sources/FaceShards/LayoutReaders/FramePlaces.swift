import Foundations

/// Finds files by paths that were written where the data set lay otherwise: they may begin with folders
/// that are not there, and folders may be there that they leave out.
struct FramePlaces {
  private let files: [BytePath]
  private var placeOf: [BytePath: Int] = [:]
  /// What was taken off and put before paths that were found.
  private var shifts: [(dropped: Int, prefix: [UInt8])] = [(0, []), (0, Array("rgb".utf8))]
  /// Looking through everything takes long; after so many times nothing else will help.
  private var searches = 32

  /// What the input folder is called.
  private let folder: [UInt8]

  /// Folders below which paths are the same wherever the data sets lie.
  private static let anchors = Set(
    [
      "rgb", "FaceForensics++", "Celeb-DF-v1", "Celeb-DF-v2", "DFDC", "DFDCP", "UADFV",
      "DeeperForensics-1.0", "DF40", "DF40_train", "DF40_test",
    ].map { Array($0.utf8) })

  /// - Parameter folder: what the input folder is called.
  init(files: [BytePath], folder: [UInt8]) {
    self.files = files
    self.folder = folder
    placeOf = Dictionary(uniqueKeysWithValues: files.enumerated().map { ($1, $0) })
  }

  /// The place in `files`; nil if there is none.
  mutating func file(_ path: String) -> Int? {
    let parts = BytePath(path).components.filter { $0 != [46] }
    guard !parts.isEmpty else { return nil }
    for shift in shifts {
      guard parts.count > shift.dropped else { continue }
      let rest = Array(parts[shift.dropped...].joined(separator: [47]))
      let prefix = BytePath(bytes: shift.prefix)
      if let place = placeOf[prefix.appending(rest)] { return place }
    }
    guard searches > 0, shifts.count < 16 else { return nil }
    searches -= 1
    // The file with the longest end in common. Methods have videos and frames of the same names, so
    // what is taken off and put before must be clear: nothing is taken off, or what is called as the
    // input folder, or all above a folder that is known.
    var best: (length: Int, place: Int)?
    for (place, file) in files.enumerated() {
      let own = file.components
      var length = 0
      while length < min(own.count, parts.count),
        own[own.count - 1 - length] == parts[parts.count - 1 - length]
      {
        length += 1
      }
      guard length > best?.length ?? 1 else { continue }
      let dropped = parts.dropLast(length)
      let isClear =
        dropped.isEmpty || own.count == length && dropped.last == folder
        || Self.anchors.contains(parts[parts.count - length])
      if isClear { best = (length, place) }
    }
    guard let best else { return nil }
    let own = files[best.place].components
    shifts.append(
      (
        parts.count - best.length,
        Array(own.dropLast(best.length).joined(separator: [47]))
      ))
    return best.place
  }
}

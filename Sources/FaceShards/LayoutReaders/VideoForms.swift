import Foundations

/// In which forms videos are there: as videos, or as folders of frames. Both at once would give
/// everything twice.
struct VideoForms {
  private var seen: [String: (form: [UInt8], path: BytePath)] = [:]

  /// The name of the video that a file is or is a frame of.
  ///
  /// - Parameter rest: the path below the folder of its class.
  /// - Returns: the name, and the folders around it, which are its form.
  static func video(of rest: ArraySlice<[UInt8]>, _ kind: PackCandidate.Kind) -> (
    name: [UInt8], form: [UInt8]
  ) {
    let file = rest.last ?? []
    if kind == .video || rest.count == 1 {
      let stem = LayoutFiles.stem(file)
      return (stem, Array(rest.dropLast().joined(separator: [47])))
    }
    // A frame lies in the folder of its video.
    let folder = rest[rest.endIndex - 2]
    return (folder, Array(rest.dropLast(2).joined(separator: [47])) + Array("/frames".utf8))
  }

  /// Throws ``PackError`` if the video was there in another form.
  mutating func add(_ video: String, form: [UInt8], _ path: BytePath, _ input: LayoutInput) throws {
    guard let first = seen[video] else {
      seen[video] = (form, path)
      return
    }
    guard first.form != form else { return }
    throw input.refusal(
      "\(video) is there twice, as \(first.path) and \(path): leave one out with --skip")
  }
}

import Foundations

/// Frames of videos that lie together in one folder, told from their names: `VIDEO_0001.png`,
/// `VIDEO-f0001.png`.
package struct FrameNames {
  typealias File = (folder: [UInt8], stem: [UInt8], path: BytePath)

  /// Names of the videos.
  private(set) var videos: Set<[UInt8]> = []
  /// Names that are made of two sources' (see ``SourceGroups``): the second is no number.
  private var pairs: Set<[UInt8]> = []
  /// A file that is a frame, and one that might be.
  private(set) var example: BytePath?
  private(set) var doubtful: BytePath?
  /// How many files are frames.
  private(set) var count = 0

  /// That files are frames, in one line; nil if none is.
  var note: String? {
    example.map {
      "\(count) files are named as frames of \(videos.count) videos, such as \($0): each video is one"
        + " source (--group none takes every file as its own)"
    }
  }

  /// - Parameters:
  ///   - files: those that lie directly in the folder of a class or method, each with its folder.
  ///   - sources: names of sources that have a folder.
  ///
  /// A folder tells videos apart if two of them have two frames each in it. Where all have one
  /// beginning, as `real_0001.png`, the number may as well be that of a picture: nothing can be said.
  init(files: [File], sources: Set<[UInt8]>) {
    var frames: [[UInt8]: [[UInt8]: Int]] = [:]
    for file in files {
      guard let video = Self.video(of: file.stem) else { continue }
      frames[file.folder, default: [:]][video, default: 0] += 1
    }
    let names = sources.union(files.map(\.stem))
    for file in files {
      guard let video = Self.video(of: file.stem) else { continue }
      let isAlone = frames[file.folder]![video]! == 1
      let rest = file.stem.dropFirst(video.count).drop { "_-. ".utf8.contains($0) }
      if isAlone, names.contains(video), names.contains(Array(rest)) {
        pairs.insert(file.stem)
      } else if sources.contains(video) {
        videos.insert(video)
      }
    }
    for (_, folder) in frames {
      let several = folder.filter { $0.value > 1 }.keys
      if several.count > 1 { videos.formUnion(several) }
    }
    for file in files {
      if video(showing: file.stem) != nil {
        count += 1
        example = example ?? file.path
      } else if let video = Self.video(of: file.stem), frames[file.folder]![video]! > 1 {
        doubtful = doubtful ?? file.path
      }
    }
  }

  /// The video that a file is a frame of; nil if it is none.
  func video(showing stem: [UInt8]) -> [UInt8]? {
    guard !videos.isEmpty, let video = Self.video(of: stem), videos.contains(video),
      !pairs.contains(stem)
    else { return nil }
    return video
  }

  /// The video that a stem names if it is a frame's: what comes before the last number and what
  /// separates the two.
  package static func video(of stem: [UInt8]) -> [UInt8]? {
    func isDigit(_ byte: UInt8) -> Bool { (48...57).contains(byte) }
    func isSeparator(_ byte: UInt8) -> Bool { "_-. ".utf8.contains(byte) }
    var rest = stem[...]
    while let last = rest.last, isDigit(last) { rest.removeLast() }
    guard rest.count < stem.count else { return nil }
    func withoutSeparators(_ bytes: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
      var bytes = bytes
      while let last = bytes.last, isSeparator(last) { bytes.removeLast() }
      return bytes
    }
    let isApart = rest.last.map(isSeparator) ?? false
    let name = withoutSeparators(rest)
    // VIDEO-f0001, VIDEO_frame_0001.
    for word in ["frame", "fr", "f"] {
      let end = Array(name.suffix(word.utf8.count)).map { $0 | 0x20 }
      guard end.elementsEqual(word.utf8) else { continue }
      let before = name.dropLast(word.utf8.count)
      if let last = before.last, isSeparator(last) {
        let video = withoutSeparators(before)
        return video.isEmpty ? nil : Array(video)
      }
    }
    return isApart && !name.isEmpty ? Array(name) : nil
  }
}

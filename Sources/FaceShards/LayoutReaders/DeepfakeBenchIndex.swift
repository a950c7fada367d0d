import Foundations

/// A JSON file of DeepfakeBench's preprocessing (its `rearrange.py`), which DF40 has too:
///
/// ```
/// {DATASET: {LABEL: {SPLIT: {[COMPRESSION:] {VIDEO: {"label": LABEL, "frames": [PATH, …]}}}}}}
/// ```
struct DeepfakeBenchIndex {
  struct Video: Equatable {
    var name: String
    var label: String
    var split: String
    var compression: String?
    /// With slashes, and without `./` before them.
    var frames: [String]
  }

  /// Those of whole data sets with 32 frames a video have some ten megabytes.
  static let maximumBytes = 1 << 28

  private(set) var videos: [Video] = []
  let path: BytePath

  /// Whether a file that begins so may be one, as three objects in one another show, of which the
  /// innermost begins with a split.
  static func isLikely(_ head: [UInt8]) -> Bool {
    head.withUnsafeBufferPointer { bytes in
      var cursor = JSONCursor(bytes)
      do {
        for _ in 0..<2 {
          try cursor.expect(UInt8(ascii: "{"))
          _ = try cursor.string()
          try cursor.expect(UInt8(ascii: ":"))
        }
        try cursor.expect(UInt8(ascii: "{"))
        return FolderRole(Array(try cursor.string().utf8))?.split != nil
      } catch {
        return false
      }
    }
  }

  /// Throws ``PackError`` if it has another form.
  init(_ bytes: [UInt8], _ path: BytePath) throws {
    self.path = path
    func refuse(_ place: [String], _ text: String) -> PackError {
      .badData(
        "\(path): \(place.map { printable($0, limit: 60) }.joined(separator: " > "))"
          + "\(place.isEmpty ? "" : ": ")\(text)")
    }
    guard let datasets = try LayoutText.json(bytes, path).members else {
      throw refuse([], "is no object of data sets, as DeepfakeBench's JSON files are")
    }
    for dataset in datasets {
      guard let labels = dataset.value.members else { throw refuse([dataset.name], "is no object") }
      for label in labels {
        guard let splits = label.value.members else {
          throw refuse([dataset.name, label.name], "is no object")
        }
        for split in splits {
          let place = [dataset.name, label.name, split.name]
          guard let role = FolderRole(Array(split.name.utf8)), role.isFake == nil,
            let name = role.split
          else { throw refuse(place, "expected train, val or test") }
          guard let members = split.value.members else { throw refuse(place, "is no object") }
          for member in members {
            if member.value["frames"] != nil {
              videos.append(
                try Self.video(member, label.name, name, nil) { refuse(place + [member.name], $0) })
              continue
            }
            // The script leaves one value behind where DFDC's validation should be.
            guard member.name != "label", member.name != "frames" else { continue }
            guard let inner = member.value.members else {
              throw refuse(place + [member.name], "is neither a video nor a compression")
            }
            for video in inner {
              videos.append(
                try Self.video(video, label.name, name, member.name) {
                  refuse(place + [member.name, video.name], $0)
                })
            }
          }
        }
      }
    }
    guard !videos.isEmpty else { throw refuse([], "names no videos") }
  }

  private static func video(
    _ member: JSON.Member, _ label: String, _ split: String, _ compression: String?,
    _ refuse: (String) -> PackError
  ) throws -> Video {
    guard let frames = member.value["frames"]?.arrayValue else {
      throw refuse("has no list of frames")
    }
    let own = member.value["label"]?.textValue ?? label
    guard isFake(own) == isFake(label) else {
      throw refuse("is called \(printable(own)), but stands under \(printable(label))")
    }
    return Video(
      name: member.name, label: label, split: split, compression: compression,
      frames: try frames.map {
        guard let path = $0.textValue, path.utf8.count <= 4096 else {
          throw refuse("has a frame that is no path")
        }
        return path.utf8.contains(92) ? path.replacing("\\", with: "/") : path
      })
  }

  /// Labels are called `FF-real`, `CelebDFv2_fake`, `DFDCP_FakeA`; what is not real is fake.
  static func isFake(_ label: String) -> Bool {
    !label.lowercased().split { "-_ ".contains($0) }.contains("real")
  }

  /// The method that a label means, by the name that the data set's authors give it.
  static func method(_ label: String) -> String {
    switch label {
    case "FF-DF": "Deepfakes"
    case "FF-F2F": "Face2Face"
    case "FF-FS": "FaceSwap"
    case "FF-NT": "NeuralTextures"
    case "FF-FH", "FF-SH": "FaceShifter"
    case "DFD_fake": "DeepFakeDetection"
    case "CelebDFv1_fake", "CelebDFv2_fake": "Celeb-synthesis"
    case "DFDCP_FakeA": "method_A"
    case "DFDCP_FakeB": "method_B"
    case "DFDC_Fake": "dfdc"
    default: shortened(label)
    }
  }

  private static func shortened(_ label: String) -> String {
    let lower = label.lowercased()
    for ending in ["_fake", "-fake"] where lower.hasSuffix(ending) && lower.utf8.count > 5 {
      return BytePath.printable(Array(label.utf8.dropLast(5)))
    }
    return BytePath.printable(Array(label.utf8))
  }
}

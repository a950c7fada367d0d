import Foundations

/// The splits of FaceForensics++'s authors: `train.json`, `val.json` and `test.json`, each a list of
/// pairs such as `["000", "003"]`. The videos of YouTube 000 and 003 and the fakes 000_003 and 003_000
/// of every method are in that split.
struct FaceForensicsSplits {
  /// The files, for messages.
  let name: String
  private var splitOf: [String: String] = [:]

  /// A file has a thousand names at most; more than this is none of the authors'.
  static let maximumBytes = 1 << 22

  private static let files = ["train.json": "train", "val.json": "validation", "test.json": "test"]

  /// Nil where the files aren't there.
  ///
  /// Throws ``PackError`` if one of them is missing, can't be read, or contradicts another.
  init?(_ input: LayoutInput) throws {
    let found = try input.documents {
      Self.files[String(decoding: $0.components.last ?? [], as: UTF8.self)] != nil
    }
    let place = input.officialSplits ?? input.folder
    guard !found.isEmpty else {
      guard input.officialSplits == nil else {
        throw PackError.badData(
          "\(place): has no train.json, val.json and test.json, which are FaceForensics++'s official"
            + " splits (dataset/splits of its repository)")
      }
      return nil
    }
    name = "train.json, val.json and test.json"
    var seen: [String: BytePath] = [:]
    for document in found {
      let file = String(decoding: document.name, as: UTF8.self)
      if let other = seen[file] {
        throw PackError.badData(
          "\(document.path) and \(other) are both there; say which are meant with --official-splits"
        )
      }
      seen[file] = document.path
    }
    if let missing = Self.files.keys.sorted().first(where: { seen[$0] == nil }) {
      throw PackError.badData(
        "\(place): has \(seen.values.min()!) but no \(missing): the official splits are three files;"
          + " add it, or leave the others out with --skip")
    }
    for document in found {
      let split = Self.files[String(decoding: document.name, as: UTF8.self)]!
      try take(document.read(limit: Self.maximumBytes), of: split, document.path)
    }
  }

  /// Takes a file's pairs.
  private mutating func take(_ bytes: [UInt8], of split: String, _ path: BytePath) throws {
    for (video, _) in try Self.pairs(bytes, path).flatMap({ [($0.0, 0), ($0.1, 1)] }) {
      if let other = splitOf.updateValue(split, forKey: video), other != split {
        throw PackError.badData("\(path): video \(printable(video)) is in \(other) as well")
      }
    }
  }

  /// The pairs of one file.
  static func pairs(_ bytes: [UInt8], _ path: BytePath) throws -> [(String, String)] {
    func refuse(_ text: String) -> PackError {
      .badData("\(path): \(text): expected a list of pairs, [[\"000\", \"003\"], …]")
    }
    guard let list = try LayoutText.json(bytes, path).arrayValue else {
      throw refuse("is no list")
    }
    return try list.enumerated().map { index, value in
      guard let pair = value.arrayValue, pair.count == 2, let first = pair[0].textValue,
        let second = pair[1].textValue, PeopleNames.faceForensics("\(first)_\(second)")?.count == 2
      else { throw refuse("entry \(index) is no pair of videos") }
      return (first, second)
    }
  }

  /// The split of a video or fake; nil if its videos are in none, or in different ones.
  func split(of videos: [String]) -> String? {
    let splits = Set(videos.map { splitOf[$0] })
    return splits.count == 1 ? splits.first! : nil
  }
}

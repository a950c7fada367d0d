/// What a folder's name says of the images below it: their split, their class or both.
///
/// People write these names in many ways: `Train`, `valid`, `0_real`, `fake_images`, `training_real`.
/// A name counts if all of its words are known; `Celeb-real` and `original_sequences` say nothing.
struct FolderRole: Equatable {
  /// train, validation or test.
  var split: String?
  var isFake: Bool?
  /// Whether it is numbered as a class of a classifier: `0_real`, `1_fake`.
  var isNumbered = false
  /// The name as it is documented.
  var canonical: String {
    [split, isFake.map { $0 ? "fake" : "real" }].compactMap { $0 }.joined(separator: "/")
  }
  /// Whether the word for the class is "real" or "fake" itself.
  var isExact = false

  static let splits = ["train", "validation", "test"]

  /// The one that is furthest from training: what is tested on must not be learnt.
  static func leastTrained<Value>(_ values: [Value], split: (Value) -> String?) -> Value {
    values.max {
      (split($0).flatMap { splits.firstIndex(of: $0) } ?? 0)
        < (split($1).flatMap { splits.firstIndex(of: $0) } ?? 0)
    }!
  }

  private static let splitWords = [
    "train": "train", "training": "train", "trn": "train",
    "validation": "validation", "val": "validation", "valid": "validation", "dev": "validation",
    "development": "validation", "eval": "validation", "evaluation": "validation",
    "test": "test", "testing": "test", "tst": "test",
  ]
  private static let realWords: Set<String> = [
    "real", "reals", "original", "originals", "pristine", "genuine", "authentic", "bonafide",
  ]
  private static let fakeWords: Set<String> = [
    "fake", "fakes", "manipulated", "deepfake", "deepfakes", "forged", "forgery", "forgeries",
    "synthetic", "generated", "tampered", "altered", "spoofed",
  ]
  /// Words that say nothing of the images.
  private static let padding: Set<String> = [
    "image", "images", "img", "imgs", "face", "faces", "frame", "frames", "photo", "photos",
    "picture", "pictures", "pics", "video", "videos", "crop", "crops", "cropped", "data", "dataset",
    "set", "split", "sample", "samples",
  ]

  /// Whether a name says nothing: `images`, `cropped_faces`.
  static func isPadding(_ name: [UInt8]) -> Bool {
    guard name.count <= 64 else { return false }
    return String(decoding: name, as: UTF8.self).lowercased().split { "_-. ".contains($0) }
      .allSatisfy { padding.contains(String($0)) }
  }

  /// Nil if the name says neither.
  init?(_ name: [UInt8]) {
    guard name.count <= 64, name.allSatisfy({ $0 < 0x80 }) else { return nil }
    var words = String(decoding: name, as: UTF8.self).lowercased()
      .split { "_-. ".contains($0) }.map(String.init)
    if let first = words.first, words.count > 1, first == "0" || first == "1" {
      isNumbered = true
      words.removeFirst()
    }
    for word in words {
      if let named = Self.splitWords[word] {
        guard split == nil else { return nil }
        split = named
      } else if Self.realWords.contains(word) || Self.fakeWords.contains(word) {
        guard isFake == nil else { return nil }
        isFake = Self.fakeWords.contains(word)
        isExact = word == "real" || word == "fake"
      } else if !Self.padding.contains(word) {
        return nil
      }
    }
    guard split != nil || isFake != nil, isFake != nil || !isNumbered else { return nil }
  }
}

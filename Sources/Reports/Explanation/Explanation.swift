import ForgeryMining
import Foundations
import Networks

/// What a detector says about one image.
struct Explanation: Sendable, Equatable {
  /// Which prototype the image's attention map is most like.
  struct Attributed: Sendable, Equatable {
    /// Method and cosine of every prototype, in the order of the prototypes.
    var similarities: [Similarity]
    var kind: AttributionKind
    /// The cosine below which the method is called unknown, if one was chosen.
    var threshold: Double?

    /// Place of the likeliest method, the first of equals.
    var best: Int {
      similarities.indices.max {
        (similarities[$0].cosine, $1) < (similarities[$1].cosine, $0)
      } ?? 0
    }
    var isKnown: Bool { threshold.map { similarities[best].cosine >= $0 } ?? true }
  }

  struct Similarity: Sendable, Equatable {
    var method: String
    var cosine: Double
  }

  /// As given, or below the folder as given, printable; `-` for standard input.
  var path: String
  var logitReal: Float
  var logitFake: Float
  /// Images at least this likely to be fake are called fake.
  var threshold: Double
  /// Nil without prototypes.
  var attributed: Attributed?
  /// What is drawn of the image, and the files; empty without a folder for them.
  var pictures: [Drawn] = []

  struct Drawn: Sendable, Equatable {
    var kind: PictureKind
    var path: String

    /// Its name in its folder.
    var file: String {
      // By bytes: a mark makes another character of a "/".
      path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[path.utf8.index(after: $0)...]) }
        ?? path
    }
  }

  var probability: Double { CrossEntropy.probabilityOfFake(real: logitReal, fake: logitFake) }
  var isFake: Bool { probability >= threshold }

  /// As a line of output.
  var json: JSON {
    var members: [JSON.Member] = [
      .init("path", .text(path)),
      .init("probability_fake", .number(probability)),
      .init("label", .text(isFake ? "fake" : "real")),
      .init("threshold", .number(threshold)),
      .init("logit_real", .number(logitReal)),
      .init("logit_fake", .number(logitFake)),
    ]
    if let attributed {
      let best = attributed.similarities[attributed.best]
      members += [
        .init("method", .text(best.method)),
        .init("similarity", .number(best.cosine)),
        .init("method_is_known", .boolean(attributed.isKnown)),
        .init("similarity_threshold", .optional(attributed.threshold)),
        .init("attribution", .text(attributed.kind.rawValue)),
        .init(
          "similarities",
          .object(attributed.similarities.map { .init($0.method, .number($0.cosine)) })),
      ]
    }
    if !pictures.isEmpty {
      members.append(
        .init("pictures", .object(pictures.map { .init($0.kind.rawValue, .text($0.path)) })))
    }
    return .object(members)
  }

  /// What a line of output says; nil if it is none.
  init?(_ json: JSON) {
    guard let path = json["path"]?.textValue, let real = json["logit_real"]?.doubleValue,
      let fake = json["logit_fake"]?.doubleValue, let threshold = json["threshold"]?.doubleValue
    else { return nil }
    self.init(
      path: path, logitReal: Float(real), logitFake: Float(fake), threshold: threshold)
    if let members = json["similarities"]?.members {
      let similarities = members.compactMap { member in
        member.value.doubleValue.map { Similarity(method: member.name, cosine: $0) }
      }
      let kind = json["attribution"]?.textValue.flatMap(AttributionKind.init(rawValue:))
      guard let kind, !members.isEmpty, similarities.count == members.count else { return nil }
      attributed = Attributed(
        similarities: similarities, kind: kind,
        threshold: json["similarity_threshold"]?.doubleValue)
    }
    for member in json["pictures"]?.members ?? [] {
      guard let kind = PictureKind(rawValue: member.name), let path = member.value.textValue else {
        return nil
      }
      pictures.append(Drawn(kind: kind, path: path))
    }
  }

  init(
    path: String, logitReal: Float, logitFake: Float, threshold: Double,
    attributed: Attributed? = nil, pictures: [Drawn] = []
  ) {
    self.path = path
    self.logitReal = logitReal
    self.logitFake = logitFake
    self.threshold = threshold
    self.attributed = attributed
    self.pictures = pictures
  }
}

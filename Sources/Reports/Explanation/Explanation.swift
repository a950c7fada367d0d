import ForgeryMining
import Foundations
import Networks

/// What a detector says about one image, or about one face of a picture.
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

  /// Which part of a picture it is about.
  struct Face: Sendable, Equatable {
    /// Place among the picture's faces, the largest first.
    var number: Int
    /// Left, top, right, bottom, in pixels of the picture, as the detector of faces gives them.
    var box: [Float]
    /// Width and height of the picture.
    var pictureWidth: Int
    var pictureHeight: Int
    /// Of a video: index of the frame among those that decode, and seconds since the first where known.
    var frame: Int?
    var time: Double?
    /// A file with the picture, reduced; nil where none is drawn.
    var scene: String?
  }

  /// As given, or below the folder as given, printable; `-` for standard input.
  var path: String
  /// Nil where the image was taken as it is.
  var face: Face?
  var logitReal: Float
  var logitFake: Float
  /// Images at least this likely to be fake are called fake.
  var threshold: Double
  /// Images less likely than this are called real, and those between unsure; nil: there is no between.
  var realThreshold: Double?
  /// Of the detector's calibration; nil where it has none.
  var temperature: Double?
  /// Nil without prototypes.
  var attributed: Attributed?
  /// What is drawn of the image, and the files; empty without a folder for them.
  var pictures: [Drawn] = []

  struct Drawn: Sendable, Equatable {
    var kind: PictureKind
    var path: String

    /// Where it is from a folder that its path begins with.
    func file(in folder: String) -> String { Explanation.file(path, in: folder) }
  }

  /// A path without the folder and the slash that it begins with, by bytes.
  static func file(_ path: String, in folder: String) -> String {
    let start = folder.utf8.count + 1
    guard path.utf8.count > start, path.utf8.starts(with: (folder + "/").utf8) else { return path }
    return String(decoding: path.utf8.dropFirst(start), as: UTF8.self)
  }

  /// Every file that is drawn for it.
  var files: [String] { pictures.map(\.path) + (face?.scene.map { [$0] } ?? []) }

  var probability: Double {
    CrossEntropy.probabilityOfFake(
      real: logitReal, fake: logitFake, temperature: temperature ?? 1)
  }
  var verdict: Verdict {
    if probability >= threshold { return .fake }
    return realThreshold.map { probability >= $0 } ?? false ? .unsure : .real
  }
  var isFake: Bool { verdict == .fake }

  enum Verdict: String, Sendable { case real, unsure, fake }

  /// As a line of output.
  var json: JSON {
    var members: [JSON.Member] = [.init("path", .text(path))]
    if let face { members += face.members }
    members += [
      .init("probability_fake", .number(probability)),
      .init("calibrated", .boolean(temperature != nil)),
      .init("label", .text(verdict.rawValue)),
      .init("threshold", .number(threshold)),
      .init("logit_real", .number(logitReal)),
      .init("logit_fake", .number(logitFake)),
    ]
    if let realThreshold { members.append(.init("real_threshold", .number(realThreshold))) }
    if let temperature { members.append(.init("temperature", .number(temperature))) }
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
    var drawn = pictures.map { JSON.Member($0.kind.rawValue, .text($0.path)) }
    if let scene = face?.scene { drawn.append(.init(Face.sceneName, .text(scene))) }
    if !drawn.isEmpty { members.append(.init("pictures", .object(drawn))) }
    return .object(members)
  }

  /// What a line of output says; nil if it is none.
  init?(_ json: JSON) {
    guard let path = json["path"]?.textValue, let real = json["logit_real"]?.doubleValue,
      let fake = json["logit_fake"]?.doubleValue, let threshold = json["threshold"]?.doubleValue
    else { return nil }
    self.init(
      path: path, logitReal: Float(real), logitFake: Float(fake), threshold: threshold)
    realThreshold = json["real_threshold"]?.doubleValue
    temperature = json["temperature"]?.doubleValue
    if json["face"] != nil {
      guard let face = Face(json) else { return nil }
      self.face = face
    }
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
      if face != nil, member.name == Face.sceneName {
        face?.scene = member.value.textValue
        continue
      }
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

extension Explanation.Face {
  /// What the picture itself is called among the pictures of a line.
  static let sceneName = "scene"

  /// As members of a line.
  var members: [JSON.Member] {
    var members: [JSON.Member] = [
      .init("face", .integer(number)), .init("box", .array(box.map { .number($0) })),
      .init("picture_size", [.integer(pictureWidth), .integer(pictureHeight)]),
    ]
    if let frame {
      members += [.init("frame", .integer(frame)), .init("time", .optional(time))]
    }
    return members
  }

  /// What a line says of the face; nil if it says nothing.
  init?(_ json: JSON) {
    let size = (json["picture_size"]?.arrayValue ?? []).compactMap(\.integerValue)
    let box = (json["box"]?.arrayValue ?? []).compactMap(\.doubleValue)
    guard let number = json["face"]?.integerValue, box.count == 4, size.count == 2 else {
      return nil
    }
    self.init(
      number: number, box: box.map { Float($0) }, pictureWidth: size[0], pictureHeight: size[1],
      frame: json["frame"]?.integerValue, time: json["time"]?.doubleValue)
  }
}

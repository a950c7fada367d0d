import Foundations

/// What was done to the faces of a shard: settings, and what they were done with. Its JSON is the shard's
/// attribute `preprocessing`.
public struct FacePreprocessing: Sendable, Equatable {
  public var settings: FaceCropSettings
  /// dlib's version, as in "19.24.0".
  public var detectorVersion: String?
  /// SHA-256 of the landmark model's file, if there was one.
  public var landmarkModel: String?

  public init(settings: FaceCropSettings, detectorVersion: String?, landmarkModel: String?) {
    self.settings = settings
    self.detectorVersion = detectorVersion
    self.landmarkModel = landmarkModel
  }

  static let detector = "dlib-frontal-hog"

  /// How pixels are made of pixels, by alignment.
  static func resampling(_ alignment: FaceCropSettings.Alignment) -> String {
    switch alignment {
    case .none: "bilinear-antialiased"
    case .similarity: "bilinear"
    }
  }

  public var json: JSON {
    var members: [JSON.Member] = [
      .init("detector", .text(Self.detector)),
      .init("dlib", detectorVersion.map { .text($0) } ?? .null),
      .init("colours", .text(settings.detectsInGrey ? "grey" : "rgb")),
      .init("upsampling", .integer(settings.upsampling)),
      .init("margin", .number(settings.margin)),
      .init("alignment", .text(settings.alignment.rawValue)),
      .init("size", .integer(settings.size)),
      .init("resampling", .text(Self.resampling(settings.alignment))),
    ]
    if let landmarkModel { members.append(.init("landmark_model", .text(landmarkModel))) }
    return .object(members)
  }

  /// Reads what ``json`` wrote; members that are not known are passed over.
  ///
  /// - Parameter file: the shard or checkpoint, for the error.
  /// - Throws: ``FaceError`` where a member is missing or says what is not known here: faces prepared in
  ///   another way must not be given to the detector.
  public init(_ json: JSON, file: String? = nil) throws {
    func wrong(_ name: String, _ expected: String) -> FaceError {
      let found = json[name].flatMap { try? $0.line() } ?? "nothing"
      return FaceError(
        file: file,
        detail: "preprocessing: \(name) is \(printable(found)), expected \(expected)")
    }
    guard json.members != nil else {
      throw FaceError(file: file, detail: "preprocessing is not a JSON object")
    }
    func text(_ name: String, _ values: [String]) throws -> String {
      guard let value = json[name]?.textValue, values.contains(value) else {
        throw wrong(name, values.map { "\"\($0)\"" }.joined(separator: " or "))
      }
      return value
    }
    func integer(_ name: String, _ range: ClosedRange<Int>) throws -> Int {
      guard let value = json[name]?.integerValue, range.contains(value) else {
        throw wrong(name, "\(range.lowerBound) to \(range.upperBound)")
      }
      return value
    }
    _ = try text("detector", [Self.detector])
    let alignment = FaceCropSettings.Alignment(
      rawValue: try text("alignment", FaceCropSettings.Alignment.allCases.map(\.rawValue)))!
    _ = try text("resampling", [Self.resampling(alignment)])
    let margins = FaceCropSettings.margins
    guard let margin = json["margin"]?.doubleValue, margins.contains(margin) else {
      throw wrong("margin", "\(margins.lowerBound) to \(margins.upperBound)")
    }
    let model = json["landmark_model"]
    if let model, model != .null {
      guard let digest = model.textValue, digest.utf8.count == 64,
        digest.utf8.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit })
      else { throw wrong("landmark_model", "a SHA-256 in hexadecimal") }
    }
    settings = FaceCropSettings(
      size: try integer("size", FaceCropSettings.sizes), margin: margin, alignment: alignment,
      detectsInGrey: try text("colours", ["rgb", "grey"]) == "grey",
      upsampling: try integer("upsampling", FaceCropSettings.upsamplings))
    detectorVersion = json["dlib"]?.textValue
    landmarkModel = model?.textValue
  }

  /// The same, of the attribute's text.
  public init(parsing text: String, file: String? = nil) throws {
    let json: JSON
    do {
      json = try JSON(parsing: text.utf8)
    } catch {
      throw FaceError(file: file, detail: "preprocessing \(error)")
    }
    try self.init(json, file: file)
  }
}

import Faces
import Foundations

/// How the faces that a detector is applied to are taken out of pictures: as those were that it was trained
/// on, as far as it says, and otherwise as `pack` does by default.
public struct FaceExtraction: Sendable {
  /// What is asked for; nil for what the detector says.
  public struct Request: Sendable {
    /// Whether faces are looked for; nil: in videos, and in images if the detector's were found so.
    public var faces: FaceHandling?
    public var margin: Double?
    public var alignment: FaceCropSettings.Alignment?
    public var detectsInGrey: Bool?
    /// Side of the crops in pixels, before the detector's own crop.
    public var size: Int?
    /// File of the landmark model; nil for the system's, where alignment needs one.
    public var landmarkModel: String?
    /// Whether other crops than the detector's own are taken.
    public var takesAnyPreprocessing = false

    public init() {}
  }

  /// A detector, as far as it concerns how its faces are cut out.
  public struct Subject: Sendable {
    /// How those were that it was trained on; nil where nothing says it.
    public var preprocessing: ShardPreprocessing?
    /// What errors call it.
    public var name: String
    /// Height and width of its input.
    public var crop: Int

    public init(preprocessing: ShardPreprocessing?, name: String, crop: Int) {
      self.preprocessing = preprocessing
      self.name = name
      self.crop = crop
    }
  }

  /// What is done to images, and to the frames of videos.
  public let images: FaceHandling
  public let videos: FaceHandling
  /// Side of what pictures are brought to, before the detector's crop is cut out of their middle. Of faces
  /// that are found, the crop's side.
  public let size: (kept: Int, found: Int)
  private let crop: Result<FaceCropSettings, FaceError>
  private let landmarkModel: LandmarkModel?
  /// What the user should know before the work begins, a line each.
  public let notes: [String]

  /// - Parameters:
  ///   - usualSize: the size where neither the request nor the detector says one.
  ///   - hasImages: whether there are images, as far as is known before files are read.
  ///   - hasVideos: the same of videos.
  /// - Throws: ``Contradiction``; `FaceError` and `FileError` where settings are out of range, the detector
  ///   says what is not known here, or a landmark model is missing, or another one than the detector's.
  public init(
    _ request: Request, for subject: Subject, usualSize: Int, hasImages: Bool, hasVideos: Bool
  ) throws {
    let said = subject.preprocessing
    let known = said.map { said in
      Result { try FacePreprocessing(parsing: said.text, file: subject.name) }
        .mapError { $0 as? FaceError ?? FaceError(file: subject.name, detail: "\($0)") }
    }
    let images = request.faces ?? (said?.hasDetector == true ? .detect : .keep)
    let videos = request.faces ?? .detect
    let detects = images == .detect && hasImages || videos == .detect && hasVideos
    self.images = images
    self.videos = videos
    var trained: FacePreprocessing?
    var problem: FaceError?
    if !request.takesAnyPreprocessing, case .failure(let error)? = known {
      problem = FaceError(
        file: error.file,
        detail:
          "\(error.detail); say --any-preprocessing to have faces cut out as pack does by default")
      if detects { throw problem! }
    }
    if case .success(let preprocessing)? = known { trained = preprocessing }
    if detects, !request.takesAnyPreprocessing, let trained {
      try Self.check(request, against: trained, of: subject)
    }
    var settings = trained?.settings ?? FaceCropSettings()
    settings.size = request.size ?? trained?.settings.size ?? usualSize
    settings.margin = request.margin ?? settings.margin
    settings.alignment = request.alignment ?? settings.alignment
    settings.detectsInGrey = request.detectsInGrey ?? settings.detectsInGrey
    crop = problem.map { .failure($0) } ?? .success(settings)
    size = (request.size ?? usualSize, settings.size)
    if detects {
      landmarkModel = try Self.landmarkModel(request, settings, trained, of: subject)
      // Refuses settings that are out of range before anything is read.
      _ = try FaceCropper(settings, landmarkModel: landmarkModel)
      guard settings.size >= subject.crop else {
        throw FaceError(
          file: subject.name,
          detail:
            "its input has \(subject.crop) pixels, more than the \(settings.size) that faces are"
            + " cut out with; give a larger --size"
            + (trained == nil ? "" : ", and --any-preprocessing"),
          exitStatus: .usage)
      }
    } else {
      landmarkModel = nil
    }
    notes = Self.notes(
      request, subject, settings, trained: trained,
      images: hasImages ? images : nil, videos: hasVideos ? videos : nil)
  }

  /// A cropper for a thread.
  ///
  /// - Throws: `FaceError`.
  public func cropper() throws -> FaceCropper {
    try FaceCropper(crop.get(), landmarkModel: landmarkModel)
  }

  // MARK: What the detector says

  /// An option that says other than the detector.
  public struct Contradiction: ReportableError, Equatable {
    let option: String
    let subject: String
    let known: String

    public var description: String {
      "\(option) contradicts \(printable(subject, limit: 400)), which was trained on faces cut out with "
        + "\(known): leave it out, or say --any-preprocessing to have what a detector says of other crops "
        + "than its own"
    }
    public var exitStatus: ExitStatus { .usage }
  }

  private static func check(
    _ request: Request, against trained: FacePreprocessing, of subject: Subject
  ) throws {
    let settings = trained.settings
    func grey(_ isGrey: Bool) -> String { isGrey ? "--detect-grey" : "--no-detect-grey" }
    for (option, isSame, known) in [
      (
        "--margin \(request.margin ?? 0)", request.margin ?? settings.margin == settings.margin,
        "margin \(settings.margin)"
      ),
      (
        "--align \(request.alignment?.rawValue ?? "")",
        request.alignment ?? settings.alignment == settings.alignment,
        "alignment \(settings.alignment.rawValue)"
      ),
      (
        grey(request.detectsInGrey == true),
        request.detectsInGrey ?? settings.detectsInGrey == settings.detectsInGrey,
        "faces found in \(settings.detectsInGrey ? "grey" : "RGB")"
      ),
      (
        "--size \(request.size ?? 0)", request.size ?? settings.size == settings.size,
        "size \(settings.size)"
      ),
    ] where !isSame {
      throw Contradiction(option: option, subject: subject.name, known: known)
    }
  }

  /// The model that alignment needs; nil where faces are not aligned.
  private static func landmarkModel(
    _ request: Request, _ settings: FaceCropSettings, _ trained: FacePreprocessing?,
    of subject: Subject
  ) throws -> LandmarkModel? {
    let isNeeded = settings.alignment == .similarity
    guard let path = request.landmarkModel ?? (isNeeded ? LandmarkModel.standardPath : nil) else {
      return nil
    }
    let model = try LandmarkModel(path: path)
    if let digest = trained?.landmarkModel, digest != model.digest, !request.takesAnyPreprocessing {
      throw FaceError(
        file: path,
        detail:
          "is another landmark model (SHA-256 \(model.digest.prefix(12))…) than the one that the"
          + " faces of \(printable(subject.name, limit: 400)) were cut out with"
          + " (\(digest.prefix(12))…): give that one with --landmark-model, or say --any-preprocessing",
        exitStatus: .usage)
    }
    return isNeeded ? model : nil
  }

  private static func notes(
    _ request: Request, _ subject: Subject, _ settings: FaceCropSettings,
    trained: FacePreprocessing?, images: FaceHandling?, videos: FaceHandling?
  ) -> [String] {
    var notes: [String] = []
    let name = printable(subject.name, limit: 400)
    if images == .detect || videos == .detect {
      let place =
        images == .detect && videos == .detect
        ? "images and videos" : images == .detect ? "images" : "videos"
      let grey = settings.detectsInGrey ? ", found in grey" : ""
      let how =
        "margin \(settings.margin), alignment \(settings.alignment.rawValue)\(grey), size"
        + " \(settings.size)"
      let origin =
        trained == nil
        ? ", as pack does by default: \(name) does not say how its faces were cut out"
        : request.takesAnyPreprocessing ? "" : ", as those of \(name) were"
      notes.append("faces are looked for in \(place), and cut out with \(how)\(origin)")
    }
    if images == .keep {
      if request.faces == nil {
        notes.append(
          "images are taken for faces already, as \(name) does not say that its faces were looked for;"
            + " --faces detect looks for them")
      } else if let said = subject.preprocessing {
        notes.append(
          "pictures are taken as they are; the faces of \(name) were cut out by \(said)")
      }
    }
    return notes
  }
}

extension ShardPreprocessing {
  /// Whether it says that faces were looked for.
  var hasDetector: Bool {
    (try? JSON(parsing: Array(text.utf8)))?["detector"].map { $0 != .null } ?? false
  }
}

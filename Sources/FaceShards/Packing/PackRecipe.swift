import Faces
import Foundations

/// How the files of a plan become faces: the settings, and what follows from them and the plan.
struct PackRecipe {
  let settings: PackSettings
  /// What faces are cut out by; nil where pictures are taken as they are.
  let crop: FaceCropSettings?
  let landmarkModel: LandmarkModel?
  let row: PackPart.Row
  /// What the shards say of how faces were cut out; nil where they were not.
  let preprocessing: String?

  /// - Throws: ``PackError`` where it must be said what to do, `FaceError` and `FileError` for settings or a
  ///   landmark model that can't be used.
  init(_ settings: PackSettings, _ contents: PackContents) throws {
    self.settings = settings
    let videos = contents.videos
    if settings.faces == nil, let image = contents.image, let video = contents.video {
      throw PackError.usage(
        "\(settings.input): has both images (\(image)) and videos (\(video)): say --faces"
          + " detect to find the faces in all of them, or --faces keep to take all as they are")
    }
    let handling = settings.faces ?? (videos > 0 ? .detect : .keep)
    if handling == .detect {
      var crop = settings.crop
      crop.size = settings.size
      let path =
        settings.landmarkModel
        ?? (crop.alignment == .similarity ? LandmarkModel.standardPath : nil)
      landmarkModel = try path.map { try LandmarkModel(path: $0) }
      self.crop = crop
      // Refuses settings that are out of range before anything is read.
      preprocessing = try FaceCropper(crop, landmarkModel: landmarkModel).preprocessing.json.line()
    } else {
      (crop, landmarkModel, preprocessing) = (nil, nil, nil)
    }
    row = PackPart.Row(
      size: settings.size, hasMasks: contents.hasMasks,
      hasOrigins: handling == .detect || videos > 0, hasLandmarks: landmarkModel != nil)
  }

  /// What decides how a planned file is stored, beside the plan.
  var identity: String {
    // The number changes when the same settings give other pixels.
    "1 \(settings.size) \(settings.gzip.map { "\($0)" } ?? "-") \(settings.framesPerVideo)"
      + " \(settings.isStrict) \(preprocessing ?? "-")"
  }
}

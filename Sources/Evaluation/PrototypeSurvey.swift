import Checkpoints
import FaceShards
import ForgeryMining
import Foundations
import Images
import MessagePassing

/// Computes the prototypes of a detector on shards, on all ranks, and how well they attribute.
///
/// The first K fake images of each method, in shard order, make the prototype (mean normalised FAM;
/// Wang and Deng, CVPR 2021, section 3.3); the next K at the most, none of which went into it,
/// calibrate: they say whether plain or centred attribution is more accurate, and below which
/// similarity a method is called unknown (`AttributionTrial.rejectionThreshold`).
public struct PrototypeSurvey {
  public let prototypes: Prototypes
  /// The means of the faces that the prototypes were taken from, as the detector sees them: cropped.
  public let meanFaces: MeanFaces
  public let calibration: PrototypesFile.Calibration
  /// Images that calibrated.
  public let calibrated: Int
  /// Images that were left aside, since their maps are not finite.
  public let notFinite: Int

  /// Collective; every rank gets the same result.
  ///
  /// - Parameters:
  ///   - samples: numbers of the images that may be taken; nil: all.
  ///   - imagesPerMethod: K.
  ///   - progress: told how many images this rank has done, and of how many.
  ///   - afterBatch: called after every batch, on all ranks equally often, so that it may be
  ///     collective. What it throws ends the survey.
  ///   - ownWork: does what is given to it: the work of this rank alone, which reads shards and may
  ///     fail where the others do not. By default such an error leaves the others in a collective, and
  ///     so must end the job. A caller who means to go on lets all ranks throw together.
  /// - Throws: ``PrototypeSurvey/NoForgeries``, ``NonFiniteMap`` if no map is finite, what reading
  ///   shards throws, `MPIError`.
  public init(
    _ pass: DatasetPass, _ set: ShardSet, samples: [Int]? = nil, imagesPerMethod: Int,
    communicator: Communicator,
    progress: (Int, Int) -> Void = { _, _ in }, afterBatch: () throws -> Void = {},
    ownWork: @escaping (() throws -> Void) throws -> Void = { try $0() }
  ) throws {
    var forMeans: [Int] = []
    var forCalibration: [Int] = []
    var seen = [Int](repeating: 0, count: set.methodNames.count)
    for sample in samples ?? Array(0..<set.count) where set.labels[sample] != 0 {
      let method = Int(set.methods[sample])
      if seen[method] < imagesPerMethod {
        forMeans.append(sample)
      } else if seen[method] < 2 * imagesPerMethod {
        forCalibration.append(sample)
      }
      seen[method] += 1
    }
    let present = seen.indices.filter { seen[$0] > 0 }
    guard !present.isEmpty else { throw NoForgeries(file: set.shards[0].path) }
    let names = present.map { set.methodNames[$0] }
    var place = [Int](repeating: -1, count: seen.count)
    for (i, method) in present.enumerated() { place[method] = i }

    let mine = pass.part(forMeans)
    let mineToo = pass.part(forCalibration)
    let work = mine.count + mineToo.count
    let crop = pass.crop
    var normalised = [Float](repeating: 0, count: crop * crop)
    var accumulator = PrototypeAccumulator(methods: names, height: crop, width: crop)
    var faces = MeanFaceAccumulator(methods: names, height: crop, width: crop)
    var face = [UInt8](repeating: 0, count: set.imageSize)
    let centre = CropGeometry.centre(height: set.height, width: set.width, side: crop)
    var done = 0
    var unusable = 0
    /// Normalises an image's map; false where one such image would be all of a mean.
    func take(_ image: DatasetPass.Mapped) -> Bool {
      normalised.withUnsafeMutableBufferPointer {
        normaliseAttention(image.map, height: crop, width: crop, into: $0)
      }
      done += 1
      progress(done, work)
      if !image.isFinite { unusable += 1 }
      return image.isFinite
    }
    try ownWork {
      try pass.maps(.fam, set, mine, afterBatch: afterBatch) { image in
        guard take(image) else { return }
        let method = place[Int(set.methods[image.sample])]
        accumulator.add(normalised, method: method)
        try face.withUnsafeMutableBufferPointer { try set.readImage(image.sample, into: $0) }
        face.withUnsafeBufferPointer {
          faces.add(
            $0, imageWidth: set.width, top: centre.top, left: centre.left, method: method)
        }
      }
      try pass.completeBatches(of: forMeans, afterBatch)
    }
    try communicator.allReduce(&accumulator.sums, .sum)
    try communicator.allReduce(&accumulator.counts, .sum)
    try communicator.allReduce(&faces.sums, .sum)
    try communicator.allReduce(&faces.counts, .sum)
    meanFaces = faces.means()
    let prototypes = accumulator.prototypes()
    guard !prototypes.methods.isEmpty else {
      throw NonFiniteMap(file: set.shards[0].path, row: nil)
    }
    self.prototypes = prototypes

    var trial = AttributionTrial(prototypes)
    try ownWork {
      try pass.maps(.fam, set, mineToo, afterBatch: afterBatch) { image in
        guard take(image) else { return }
        trial.add(normalised, method: names[place[Int(set.methods[image.sample])]])
      }
      try pass.completeBatches(of: forCalibration, afterBatch)
    }
    notFinite = try communicator.allReduce(unusable, .sum)
    trial.rows = try communicator.allGatherUnequal(trial.rows).flatMap { $0 }
    calibrated = trial.images
    let evaluation = AttributionEvaluation(trial)
    let plain = trial.rejectionThreshold(.plain)
    let centred = trial.rejectionThreshold(.centred)
    calibration = PrototypesFile.Calibration(
      plainAccuracy: evaluation.plain.confusion.accuracy,
      centredAccuracy: evaluation.centred.confusion.accuracy,
      plainThreshold: plain?.value, centredThreshold: centred?.value,
      plainAreaUnderROC: plain?.areaUnderROC, centredAreaUnderROC: centred?.areaUnderROC)
  }

  /// The shards hold no fake images.
  public struct NoForgeries: ReportableError {
    public let file: String
    public var description: String {
      "\(file): no fake image, here or in the other shards; prototypes need some of each method"
    }
    public var exitStatus: ExitStatus { .badData }
  }
}

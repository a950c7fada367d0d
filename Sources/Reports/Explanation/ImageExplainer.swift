import Checkpoints
import Dispatch
import ForgeryMining
import Foundation
import Images
import MessagePassing
import Networks
import Tensors

/// Applies a detector to images, a batch at a time.
struct ImageExplainer {
  private let loaded: LoadedDetector
  private let settings: ExplanationJob.Settings
  private let prototypes: ComparedPrototypes?
  private let pictures: ExplanationPictures
  private let attention: AttentionProgram
  private let inference: InferenceProgram
  private let images: AlignedMemory
  private let gradients: AlignedMemory
  private let activations: AlignedMemory
  private let logits: AlignedMemory

  init(
    _ loaded: LoadedDetector, _ settings: ExplanationJob.Settings,
    _ prototypes: ComparedPrototypes?, workers: WorkerPool
  ) {
    self.loaded = loaded
    self.settings = settings
    self.prototypes = prototypes
    let crop = loaded.crop
    pictures = ExplanationPictures(
      crop: crop, normalisation: loaded.normalisation, seed: settings.seed)
    let group = DetectorGroups.size(images: settings.batch, alone: true)
    attention = AttentionProgram(
      loaded.detector, crop: crop, groupSize: group, workers: workers)
    inference = InferenceProgram(
      loaded.detector, crop: crop, groupSize: group, workers: workers)
    attention.refresh()
    inference.refresh()
    let pixels = crop * crop
    images = AlignedMemory(size: settings.batch * pixels * 3 * 4)
    gradients = AlignedMemory(size: settings.batch * pixels * 3 * 4)
    activations = AlignedMemory(
      size: settings.batch * 2 * inference.featureHeight * inference.featureWidth * 4)
    logits = AlignedMemory(size: settings.batch * 2 * 4)
  }

  /// An image, or a face cut out of one, that the detector is to see.
  struct Subject {
    /// As large as the detector's input.
    var image: RGBImage
    /// As an explanation's.
    var path: String
    var face: Explanation.Face?
    /// Of the noise that shows what SFE would erase.
    var sample: UInt64 = 0
    /// What the files of its pictures begin with; nil where none are drawn.
    var base: String?
  }

  /// Says of every image of a batch what the detector sees in it.
  ///
  /// - Parameter subjects: at most a batch.
  /// - Throws: `ExplanationJob.NotFinite`, `ImageError` if a picture can't be written.
  func explain(_ subjects: [Subject]) throws -> [Explanation] {
    guard !subjects.isEmpty else { return [] }
    run(subjects.map(\.image), isDrawn: subjects.contains { $0.base != nil })
    let results = Results(count: subjects.count)
    // Each iteration reads the batch's buffers and writes files of its own.
    nonisolated(unsafe) let explainer = self
    let batch = subjects
    let workers = min(max(1, settings.threads), subjects.count)
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      for place in stride(from: worker, to: batch.count, by: workers) {
        results.store(Result { try explainer.describe(batch[place], place: place) }, place)
      }
    }
    return try results.all.map { try $0.get() }
  }

  /// Fills the buffers: logits and gradients, and activations if the images are drawn.
  private func run(_ faces: [RGBImage], isDrawn: Bool) {
    let crop = loaded.crop
    let size = crop * crop * 3
    let normalisation = loaded.normalisation
    for (place, face) in faces.enumerated() {
      face.pixels.withUnsafeBufferPointer {
        normalisation.cut(
          CropGeometry(top: 0, left: 0, side: crop), of: $0, width: crop,
          into: UnsafeMutableBufferPointer(start: images.floats() + place * size, count: size))
      }
    }
    Array(faces.indices).withUnsafeBufferPointer {
      attention.run(
        images: images.floats(), selected: $0, logits: logits.floats(),
        gradients: gradients.floats())
    }
    if isDrawn, loaded.detector.hasActivationMaps {
      inference.run(
        images: images.floats(), count: faces.count, logits: logits.floats(),
        activationMaps: activations.floats())
    }
  }

  /// What the buffers say of the image at `place` of the batch.
  private func describe(_ subject: Subject, place: Int) throws -> Explanation {
    RankStatus.progress()
    let crop = loaded.crop
    let size = crop * crop * 3
    let map = forgeryAttentionMap(
      inputGradient: Array(
        UnsafeBufferPointer(start: gradients.floats() + place * size, count: size)),
      height: crop, width: crop)
    let (real, fake) = (logits.floats()[2 * place], logits.floats()[2 * place + 1])
    guard real.isFinite, fake.isFinite, map.allSatisfy(\.isFinite) else {
      throw ExplanationJob.NotFinite(image: subject.path, weights: loaded.source)
    }
    var explanation = Explanation(
      path: subject.path, logitReal: real, logitFake: fake, threshold: settings.threshold)
    explanation.realThreshold = settings.realThreshold
    explanation.temperature = loaded.calibration?.temperature
    explanation.face = subject.face
    guard prototypes != nil || subject.base != nil else { return explanation }
    let normalised = normalisedAttention(map, height: crop, width: crop)
    explanation.attributed = prototypes?.attributed(normalised)
    if let base = subject.base {
      explanation.pictures = try pictures.write(
        subject.image, sample: subject.sample, attention: (map, normalised),
        activation: activation(at: place),
        base: base)
    }
    return explanation
  }

  /// CAM of fake less CAM of real; nil where the detector has none.
  private func activation(at place: Int) -> (map: [Float], width: Int, height: Int)? {
    guard loaded.detector.hasActivationMaps else { return nil }
    let (height, width) = (inference.featureHeight, inference.featureWidth)
    let maps = activations.floats() + place * 2 * height * width
    return ((0..<height * width).map { maps[height * width + $0] - maps[$0] }, width, height)
  }
}

/// Results of iterations that run at once.
private final class Results: @unchecked Sendable {
  private let lock = NSLock()
  private var values: [Result<Explanation, any Error>?]

  init(count: Int) { values = Array(repeating: nil, count: count) }

  func store(_ value: Result<Explanation, any Error>, _ place: Int) {
    lock.withLock { values[place] = value }
  }

  var all: [Result<Explanation, any Error>] { lock.withLock { values.map { $0! } } }
}

import Tensors

extension CounterGenerator {
  /// A uniform value in `low ..< high`.
  @inline(__always)
  mutating func value(_ low: Float, _ high: Float) -> Float { low + (high - low) * uniform() }

  /// A normal value, cut at ±2.5 standard deviations.
  mutating func bell(_ mean: Float, _ deviation: Float) -> Float {
    mean + deviation * min(max(Float(normal()), -2.5), 2.5)
  }

  mutating func chance(_ probability: Float) -> Bool { uniform() < probability }

  mutating func pick<T>(_ choices: [T]) -> T { choices[below(choices.count)] }
}

/// An identity: everything about a face that stays the same from picture to picture.
///
/// Lengths are in face units, measured from a point between the eyes and the nose: `u` to the right
/// of the picture, `v` downwards. The head is about 1.3 units wide and 1.9 high.
struct FaceModel: Sendable {
  // Head.
  var headWidth: Float
  var craniumHeight: Float
  var chinHeight: Float
  var jawTaper: Float
  var jawSquareness: Float
  var cheekFullness: Float
  var chinProminence: Float
  var asymmetry: Float
  // Eyes and brows.
  var eyeX: Float
  var eyeY: Float
  var eyeHalfWidth: Float
  var eyeHalfHeight: Float
  var eyeTilt: Float
  var lidFold: Float
  var irisRadius: Float
  var irisColour: SIMD4<Float>
  var lashes: Float
  var browLift: Float
  var browLength: Float
  var browThickness: Float
  var browArch: Float
  var browTilt: Float
  var browRidge: Float
  // Nose, mouth, ears.
  var noseTip: Float
  var noseWidth: Float
  var noseBridge: Float
  var noseHeight: Float
  var mouthY: Float
  var mouthHalfWidth: Float
  var upperLip: Float
  var lowerLip: Float
  var cupidBow: Float
  var lipColour: SIMD4<Float>
  var earSize: Float
  // Skin.
  var skin: SIMD4<Float>
  var blush: Float
  var freckles: Float
  var pores: Float
  var gloss: Float
  var stubble: Float
  var beard: Float
  /// Lanes 0…3: u, lanes 4…7: v; those at 9 are none.
  var moles: SIMD8<Float>
  // Hair.
  var hairColour: SIMD4<Float>
  var bald: Bool
  var hairTop: Float
  var hairSide: Float
  var hairLength: Float
  var hairline: Float
  var hairlineCurve: Float
  var parting: Float
  /// How much lower the hair falls on one side of the forehead.
  var sweep: Float
  /// 0 straight or wavy … 1 tight curls.
  var curl: Float
  var waviness: Float
  var strands: Float
  // Spectacles: 0 none.
  var spectacles: Float
  var textureSeed: UInt32

  /// Draws identity `identity` of the data set with this seed.
  init(seed: UInt64, identity: Int) {
    self.init(seed: seed, stream: .identity, number: identity)
  }

  /// Draws someone who lends a face to picture `picture` and appears nowhere else.
  init(seed: UInt64, donorOf picture: Int) {
    self.init(seed: seed, stream: .donor, number: picture)
  }

  private init(seed: UInt64, stream: SynthesisStream, number: Int) {
    var g = CounterGenerator(
      seed: seed, epoch: stream.rawValue, sample: UInt64(number), purpose: .synthesis)
    let feminine = g.uniform()

    // From light to dark; the darker tones lean to red-brown.
    let tones: [SIMD4<Float>] = [
      linear(248, 220, 202), linear(240, 202, 174), linear(228, 180, 146), linear(206, 157, 124),
      linear(174, 125, 95), linear(134, 92, 69), linear(96, 65, 50),
    ]
    let tone = g.uniform() * Float(tones.count - 1) * 0.999
    let step = Int(tone)
    let base = mix(tones[step], tones[step + 1], tone - Float(step))
    skin = base * SIMD4(g.bell(1, 0.03), g.bell(1, 0.02), g.bell(1, 0.04), 1)
    let darkness = tone / Float(tones.count - 1)

    headWidth = g.bell(0.605, 0.024)
    craniumHeight = g.bell(0.98, 0.03)
    chinHeight = g.bell(0.93, 0.035) + 0.03 * (0.5 - feminine)
    jawTaper = g.value(0.22, 0.42) + 0.08 * (feminine - 0.5)
    jawSquareness = g.value(0.1, 0.6) - 0.2 * feminine + 0.15
    cheekFullness = g.value(0.02, 0.06)
    chinProminence = g.value(0.02, 0.06)
    asymmetry = g.bell(0, 0.008)

    eyeX = g.bell(0.292, 0.014)
    eyeY = g.bell(-0.09, 0.018)
    eyeHalfWidth = g.bell(0.132, 0.009)
    eyeHalfHeight = g.bell(0.058, 0.009) + 0.006 * feminine
    eyeTilt = g.bell(0.05, 0.06)
    lidFold = g.value(0.15, 1)
    irisRadius = g.value(0.056, 0.064)
    let irises: [SIMD4<Float>] = [
      linear(74, 46, 28), linear(50, 32, 22), linear(96, 62, 34), linear(110, 88, 48),
      linear(92, 112, 78), linear(88, 122, 148), linear(108, 130, 142), linear(62, 98, 142),
    ]
    let darkEyes = darkness > 0.45 ? 3 : irises.count
    irisColour = mix(irises[g.below(darkEyes)], irises[g.below(darkEyes)], 0.3 * g.uniform())
    lashes = mix(0.45, 1, feminine) * g.value(0.7, 1)
    browLift = g.bell(0.155, 0.016)
    browLength = g.value(0.155, 0.195)
    browThickness = mix(0.034, 0.020, feminine) * g.value(0.75, 1.3)
    browArch = g.value(0.01, 0.05) + 0.015 * feminine
    browTilt = g.bell(0.02, 0.08)
    browRidge = mix(1.3, 0.4, feminine) * g.value(0.7, 1.2)

    noseTip = g.bell(0.255, 0.025)
    noseWidth = g.bell(0.118, 0.015)
    noseBridge = g.value(0.055, 0.085)
    noseHeight = g.bell(0.20, 0.028)
    mouthY = g.bell(0.50, 0.022)
    mouthHalfWidth = g.bell(0.205, 0.02)
    upperLip = g.value(0.030, 0.052) + 0.008 * feminine
    lowerLip = g.value(0.042, 0.068) + 0.008 * feminine
    cupidBow = g.value(0.1, 0.45)
    earSize = g.value(0.85, 1.15)

    let lipBase = SIMD4<Float>(skin.x * 0.80, skin.y * 0.50, skin.z * 0.56, 0)
    let lipPaint = g.pick([linear(196, 70, 84), linear(170, 52, 70), linear(205, 105, 105)])
    let painted = feminine > 0.55 && g.chance(0.5) ? g.value(0.25, 0.7) : 0
    lipColour = mix(lipBase, lipPaint * (1 - 0.4 * darkness), painted)
    blush = g.value(0.1, 0.9) * (1 - 0.6 * darkness)
    freckles = g.chance(0.2) ? g.value(0.3, 1) * (1 - darkness) : 0
    pores = g.value(0.5, 1.2)
    gloss = g.value(0.05, 0.16)
    stubble = feminine < 0.5 ? g.value(0, 0.8) : 0
    beard = feminine < 0.4 && g.chance(0.25) ? g.value(0.6, 1) : 0
    moles = SIMD8(repeating: 9)
    for k in 0..<g.below(4) {
      moles[k] = g.value(-0.5, 0.5)
      moles[k + 4] = g.value(-0.5, 0.75)
    }

    let hairs: [SIMD4<Float>] = [
      linear(28, 24, 24), linear(44, 32, 26), linear(70, 46, 32), linear(98, 66, 42),
      linear(130, 74, 40), linear(176, 132, 80), linear(206, 172, 118), linear(150, 144, 138),
    ]
    let darkest = darkness > 0.55 ? 3 : hairs.count
    hairColour = mix(hairs[g.below(darkest)], hairs[g.below(darkest)], 0.3 * g.uniform())
    bald = feminine < 0.5 && g.chance(0.1)
    let long = g.chance(mix(0.08, 0.85, feminine))
    curl = g.chance(0.22) ? g.value(0.6, 1) : 0
    hairTop = curl > 0 ? g.value(0.08, 0.2) : g.value(0.05, 0.17)
    hairSide = long || curl > 0 ? g.value(0.07, 0.17) : g.value(0.025, 0.055)
    hairLength = long ? g.value(0.25, 1.5) : g.value(-0.15, 0.12)
    let fringe = g.chance(0.25)
    hairline = fringe ? g.value(-0.52, -0.40) : g.value(-0.72, -0.56)
    hairlineCurve = fringe ? g.value(-0.1, 0.35) : g.value(0.35, 1.0)
    parting = g.bell(0, 0.2)
    sweep = g.chance(0.5) ? g.bell(0, 0.22) : 0
    waviness = g.value(0, 1) * g.uniform()
    strands = g.value(0.5, 1)
    spectacles = g.chance(0.1) ? g.value(0.5, 1) : 0
    textureSeed = g.nextUInt32()
  }
}

/// The independent streams of draws that a synthetic data set is made from; each is addressed by the
/// data set's seed and an identity's or a picture's number.
enum SynthesisStream: UInt64 {
  case identity = 1
  case scene, camera, manipulation, donor, distribution, motion, furtherTraces
}

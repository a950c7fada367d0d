/// What a 64-bit Arm processor is called. Linux tells numbers only, of the register MIDR_EL1: its maker's
/// and, by that, its own, each as "0x41". A processor that is not in the list keeps its numbers; where
/// there are none, the name is empty.
func armProcessorName(implementer: String, part: String) -> String {
  guard !implementer.isEmpty else { return "" }
  let maker = armMakers[implementer]
  return maker?.parts[part] ?? "\(maker?.name ?? "Arm processor of \(implementer)") \(part)"
}

/// Those of machines that networks are trained on (Linux, arch/arm64/include/asm/cputype.h).
private let armMakers: [String: (name: String, parts: [String: String])] = [
  "0x41": (
    "Arm",
    [
      "0xd08": "Cortex-A72", "0xd0b": "Cortex-A76", "0xd0c": "Neoverse-N1", "0xd40": "Neoverse-V1",
      "0xd49": "Neoverse-N2", "0xd4f": "Neoverse-V2", "0xd83": "Neoverse-V3AE",
      "0xd84": "Neoverse-V3", "0xd8e": "Neoverse-N3",
    ]
  ),
  "0x43": ("Cavium", ["0x0af": "ThunderX2"]),
  "0x46": ("Fujitsu", ["0x001": "A64FX"]),
  "0x48": ("HiSilicon", ["0xd01": "Kunpeng-920"]),
  "0x61": ("Apple", [:]),
  "0xc0": ("Ampere", ["0xac3": "Ampere-1", "0xac4": "Ampere-1a"]),
]

"""Prints what scapy makes of every frame of a capture file: one JSON object a line.

The fields that scapy does not find in a frame are left out.
"""

import json
import sys

from scapy.contrib.aoe import AOE
from scapy.layers.l2 import Ether
from scapy.utils import RawPcapReader


def ata(command):
    return {
        "aflags": int(command.flags),
        "feature": command.err_feature,
        "count": command.sector_count,
        "command": command.cmd_status,
        "lba": [getattr(command, f"lba{byte}") for byte in range(6)],
        "reserved": command.reserved,
    }


def config(query):
    return {
        "buffer_count": query.buffer_count,
        "firmware": query.firmware,
        "max_sectors": query.sector_count,
        "aoe": query.aoe,
        "sub_command": query.ccmd,
        "string_length": query.config_length,
        "string": bytes(query.config).hex(),
    }


# The counts of both lists have eight bits, as in vblade and tcpdump. To scapy they have sixteen: its
# FieldLenField is that long where nothing else is said. So the count is in the high byte, and the
# lists, which begin a byte too late, are left out. Frames that end with the count are Raw to it.


def counted(name, count):
    return {} if count is None else {name: count >> 8}


def mask(edit):
    fields = {"mask_command": edit.mcmd, "mask_error": edit.merror}
    return fields | counted("dir_count", edit.dir_count)


def reserve(change):
    return {"reserve_command": change.rcmd} | counted("mac_count", change.nb_mac)


def decode(frame):
    ether = Ether(frame)
    fields = {"destination": ether.dst, "source": ether.src}
    if AOE not in ether:
        return fields
    aoe = ether[AOE]
    fields.update(
        version=aoe.version,
        flags=int(aoe.flags),
        error=aoe.error,
        shelf=aoe.major,
        slot=aoe.minor,
        aoe_command=aoe.cmd,
        tag=aoe.tag,
    )
    arguments = [
        ("i_ata_cmd", ata),
        ("q_conf_info", config),
        ("mac_m_list", mask),
        ("res_rel", reserve),
    ]
    for name, decoder in arguments:
        argument = getattr(aoe, name, None)
        if argument is not None and hasattr(argument, "fields_desc"):
            fields.update(decoder(argument))
    return fields


for frame, _ in RawPcapReader(sys.argv[1]):
    try:
        print(json.dumps(decode(frame)))
    except Exception as error:  # whatever it stumbles over, the test has to know
        print(json.dumps({"exception": repr(error)}))
